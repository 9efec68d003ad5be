// Policies as values: lists, edits, names, words and JSON.
#include "amp/op_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amp/error.h"

namespace amp::tests::op_policy_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const OpPolicy kCpu = OpPolicy::torch(c10::DeviceType::CPU);
const OpPolicy kCuda = OpPolicy::torch(c10::DeviceType::CUDA);

int count(const OpPolicy& policy, CastRule rule) {
  int found = 0;
  for (const auto& op : OpPolicy::ops()) found += policy.rule(op) == rule;
  return found;
}

// The counts of PyTorch 2.11's registrations.
TEST(OpPolicy, S4_1_CudasListIsTorchs) {
  EXPECT_EQ(count(kCuda, CastRule::lower_precision), 36);
  EXPECT_EQ(count(kCuda, CastRule::fp32), 58);
  EXPECT_EQ(count(kCuda, CastRule::fp32_set_opt_dtype), 17);
  EXPECT_EQ(count(kCuda, CastRule::fp32_append_dtype), 3);
  EXPECT_EQ(count(kCuda, CastRule::promote), 11);
  EXPECT_EQ(count(kCuda, CastRule::banned), 1);
  EXPECT_EQ(kCuda.rule("softmax"), CastRule::fp32_set_opt_dtype);
  EXPECT_EQ(kCuda.rule("binary_cross_entropy"), CastRule::banned);
  EXPECT_EQ(kCuda.rule("norm.Scalar"), CastRule::fp32_append_dtype);
  EXPECT_EQ(kCuda.rule("dot"), CastRule::promote);
}

TEST(OpPolicy, S4_2_TheCpusListIsAnother) {
  EXPECT_EQ(count(kCpu, CastRule::lower_precision), 24);
  EXPECT_EQ(count(kCpu, CastRule::fp32), 101);
  EXPECT_EQ(count(kCpu, CastRule::promote), 4);
  EXPECT_EQ(kCpu.rule("softmax"), CastRule::keep);
  EXPECT_EQ(kCpu.rule("layer_norm"), CastRule::keep);
  EXPECT_EQ(kCpu.rule("mv"), CastRule::keep);
  EXPECT_EQ(kCpu.rule("binary_cross_entropy"), CastRule::fp32);
}

TEST(OpPolicy, S6_3_UnifiedIsOneListForEveryDevice) {
  const auto unified = OpPolicy::unified();
  EXPECT_EQ(unified.rule("softmax"), CastRule::fp32_set_opt_dtype);
  EXPECT_EQ(unified.rule("linalg_matrix_norm.str_ord"), CastRule::fp32);  // it refuses lower inputs
  EXPECT_EQ(unified.rule("mv"), CastRule::lower_precision);
  EXPECT_EQ(unified.rule("cat"), CastRule::promote);
  EXPECT_EQ(unified.rule("binary_cross_entropy"), CastRule::fp32);
  EXPECT_EQ(unified.rule("avg_pool3d"), CastRule::fp32);
  EXPECT_EQ(unified.rule("gru.input"), CastRule::lower_precision);
  EXPECT_EQ(count(unified, CastRule::keep), 1);  // embedding, which only fast names
  EXPECT_EQ(count(unified, CastRule::banned), 0);
}

TEST(OpPolicy, AnEditedCopyLeavesTheOriginal) {
  auto policy = kCuda;
  policy.set("softmax", CastRule::keep).set("aten::mm", CastRule::fp32);
  EXPECT_EQ(policy.rule("softmax.int"), CastRule::keep);
  EXPECT_EQ(policy.rule("softmax.Dimname"), CastRule::keep);
  EXPECT_EQ(policy.rule("mm"), CastRule::fp32);
  EXPECT_EQ(kCuda.rule("softmax"), CastRule::fp32_set_opt_dtype);
  EXPECT_FALSE(policy == kCuda);
  policy.set("softmax", CastRule::fp32_set_opt_dtype).set("mm", CastRule::lower_precision);
  EXPECT_TRUE(policy == kCuda);
}

TEST(OpPolicy, TheOverloadWithoutANameIsCalledDefault) {
  auto policy = kCuda;
  policy.set("prod.default", CastRule::keep);
  EXPECT_EQ(policy.rule("prod.default"), CastRule::keep);
  EXPECT_EQ(policy.rule("prod.dim_int"), CastRule::fp32_set_opt_dtype);
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
}

TEST(OpPolicy, AnOverloadCanBeNamed) {
  auto policy = kCuda;
  policy.set("sum.dim_IntList", CastRule::keep);
  EXPECT_EQ(policy.rule("sum.dim_IntList"), CastRule::keep);
  EXPECT_EQ(policy.rule("sum.dim_DimnameList"), CastRule::fp32_set_opt_dtype);
  EXPECT_THAT([&] { policy.rule("sum"); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("different rules"), HasSubstr("sum.dim_IntList: keep"))));
}

TEST(OpPolicy, AnOpThatTorchListsNowhereCanBeAdded) {
  auto policy = kCpu;
  EXPECT_EQ(policy.rule("gelu"), CastRule::keep);
  policy.set("gelu", CastRule::fp32);
  EXPECT_EQ(policy.rule("aten::gelu"), CastRule::fp32);
  EXPECT_EQ(policy.explain("gelu"),
            "gelu: fp32 (its tensors are cast to fp32), set by hand; torch lists it nowhere");
  policy.set("gelu", CastRule::keep);
  EXPECT_TRUE(policy == kCpu);
}

TEST(OpPolicy, ExplainSaysWhichRuleAndWhy) {
  EXPECT_EQ(kCpu.explain("softmax.int"),
            "softmax.int: keep (it runs in the dtype it is given), because torch's CPU list does "
            "not name it");
  EXPECT_EQ(
      kCuda.explain("mm"),
      "mm: lower_precision (its tensors are cast to the region's dtype), by torch's CUDA list");
  auto policy = kCuda;
  policy.set("mm", CastRule::fp32);
  EXPECT_EQ(policy.explain("mm"),
            "mm: fp32 (its tensors are cast to fp32), set by hand; torch's CUDA list says "
            "lower_precision");
  EXPECT_THAT(kCuda.explain("softmax"),
              AllOf(HasSubstr("softmax.int"), HasSubstr("softmax.Dimname"), HasSubstr("\n")));
}

TEST(OpPolicy, InPlaceVariantsAreKept) {
  const auto policy = OpPolicy::torch(c10::kCPU);
  EXPECT_EQ(policy.rule("add_"), CastRule::keep);
  EXPECT_EQ(policy.explain("add_.Scalar"),
            "add_.Scalar: keep (it runs in the dtype it is given), because in-place and out= "
            "variants are never cast");
  EXPECT_THROW(OpPolicy::torch(c10::kCPU).set("add_", CastRule::fp32), InvalidArgument);
}

TEST(OpPolicy, JsonGoesRound) {
  auto policy = OpPolicy::unified();
  policy.set("softmax.int", CastRule::lower_precision).set("gelu", CastRule::promote);
  EXPECT_EQ(policy.to_json(), R"({
  "base": "unified",
  "rules": {
    "gelu": "promote",
    "softmax.int": "lower_precision"
  }
})");
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
  EXPECT_TRUE(OpPolicy::from_json(R"({"base": "torch_cuda"})") == kCuda);
}

TEST(OpPolicy, BadInputIsRefusedAndNothingChanged) {
  auto policy = kCuda;
  const auto says = [](const char* text) {
    return ThrowsMessage<InvalidArgument>(HasSubstr(text));
  };
  EXPECT_THAT([&] { policy.set("sofmax", CastRule::fp32); },
              says("there is no op 'sofmax'; did you mean 'softmax'"));
  EXPECT_THAT([&] { policy.set("qqqqqqqqqqqqqqqq", CastRule::fp32); },
              says("OpPolicy::ops() lists"));
  EXPECT_THAT([&] { policy.rule("mm.nothing"); }, says("there is no op 'mm.nothing'"));
  EXPECT_THAT([&] { policy.explain("nolib::op"); }, says("there is no op 'nolib::op'"));
  EXPECT_THAT([&] { policy.set("mm", CastRule::fp32_set_opt_dtype); }, says("no argument dtype="));
  EXPECT_THAT([&] { policy.set("mm", CastRule::fp32_append_dtype); }, says("norm's alone"));
  EXPECT_TRUE(policy == kCuda);

  EXPECT_THAT([] { OpPolicy::from_json("{"); }, says("must be a JSON object"));
  EXPECT_THAT([] { OpPolicy::from_json("[]"); }, says("must be a JSON object"));
  EXPECT_THAT([] { OpPolicy::from_json("{}"); }, says("needs the field 'base'"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": "torch_cud"})"); },
              says("there is no base 'torch_cud'; did you mean 'torch_cuda'"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": 3})"); }, says("base must be a text, got 3"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": "unified", "rule": {}})"); },
              says("no field 'rule'; did you mean 'rules'"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": "unified", "rules": []})"); },
              says("rules must be an object"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": "unified", "rules": {"mm": "fp23"}})"); },
              says("there is no rule 'fp23'; did you mean 'fp32'"));
  EXPECT_THAT([] { OpPolicy::from_json(R"({"base": "unified", "rules": {"mm": 1}})"); },
              says("the rule of mm must be a text"));
  EXPECT_THROW(OpPolicy::torch(c10::DeviceType::XPU), UnsupportedError);
}

}  // namespace
}  // namespace amp::tests::op_policy_test
