// Rules by the names that users know: what they stand for, in words and in JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "amp/error.h"
#include "amp/op_policy.h"

namespace amp::tests::user_names_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const OpPolicy kCpu = OpPolicy::torch(c10::DeviceType::CPU);

TEST(UserNames, ANameStandsForWhatItsModuleCalls) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> names = {
      {"lstm", {"lstm.input", "lstm.data", "lstm_cell"}},
      {"gru", {"gru.input", "gru.data", "gru_cell"}},
      {"rnn",
       {"rnn_tanh.input", "rnn_tanh.data", "rnn_relu.input", "rnn_relu.data", "rnn_tanh_cell",
        "rnn_relu_cell"}},
      {"attention", {"scaled_dot_product_attention", "_native_multi_head_attention"}},
      {"multihead_attention", {"scaled_dot_product_attention"}},
      {"cross_entropy", {"cross_entropy_loss"}},
      {"nll_loss", {"nll_loss", "nll_loss2d"}},
      {"layer_norm", {"layer_norm", "native_layer_norm"}},
      {"conv",
       {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}},
      {"upsample", {"upsample_nearest2d", "upsample_bicubic2d"}},
      {"grid_sample", {"grid_sampler", "grid_sampler_2d"}},
      {"bce_with_logits_loss", {"binary_cross_entropy_with_logits"}}};
  for (const auto& [name, ops] : names) {
    auto policy = OpPolicy::torch(c10::DeviceType::CPU);
    policy.set(name, CastRule::promote);
    EXPECT_EQ(policy.rule(name), CastRule::promote) << name;
    for (const auto& op : ops) EXPECT_EQ(policy.rule(op), CastRule::promote) << name << ": " << op;
    EXPECT_FALSE(policy == kCpu) << name;
    EXPECT_EQ(policy.name(), "torch_cpu, edited") << name;
    EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy) << policy.to_json();
  }
}

TEST(UserNames, WithoutARuleOfItsOwnANameHasThatOfItsOp) {
  EXPECT_EQ(kCpu.rule("attention"), CastRule::lower_precision);
  EXPECT_EQ(kCpu.rule("cross_entropy"), CastRule::fp32);
  EXPECT_EQ(kCpu.rule("lstm"), CastRule::keep);
}

TEST(UserNames, AnOverloadIsThatOpAlone) {
  auto policy = kCpu;
  policy.set("linear.default", CastRule::fp32);
  EXPECT_EQ(policy.to_json(), R"({
  "base": "torch_cpu",
  "rules": {
    "linear.default": "fp32"
  }
})");
  EXPECT_THAT(policy.explain("addmm"), Not(HasSubstr("as 'linear'")));
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
  auto by_name = kCpu;
  by_name.set("linear", CastRule::fp32);
  EXPECT_FALSE(by_name == policy);
  EXPECT_EQ(by_name.rule("addmm"), CastRule::lower_precision) << "of activations";
}

TEST(UserNames, ExplainSaysWhatTheNameRules) {
  EXPECT_EQ(kCpu.explain("linear"),
            "linear: lower_precision (its tensors are cast to the region's dtype), by torch's CPU "
            "list\n'linear', once it is set, also rules addmm, _addmm_activation, matmul, mm where "
            "the second operand is a parameter");
  auto policy = kCpu;
  policy.set("linear", CastRule::fp32);
  EXPECT_EQ(policy.explain("linear"),
            "linear: fp32 (its tensors are cast to fp32), set by hand; torch's CPU list says "
            "lower_precision\n'linear' also rules addmm, _addmm_activation, matmul, mm where the "
            "second operand is a parameter");
  EXPECT_EQ(policy.explain("addmm"),
            "addmm: lower_precision (its tensors are cast to the region's dtype), by torch's CPU "
            "list; where the second operand is a parameter: fp32, as 'linear'");
  EXPECT_EQ(
      policy.explain("addmm", "linear"),
      "addmm: fp32 (its tensors are cast to fp32), as 'linear', where the second operand is a "
      "parameter");
  EXPECT_EQ(policy.explain("addmm", ""),
            "addmm: lower_precision (its tensors are cast to the region's dtype), by torch's CPU "
            "list");
  policy.set("attention", CastRule::fp32);
  EXPECT_THAT(policy.explain("attention"),
              AllOf(HasSubstr("scaled_dot_product_attention: fp32"),
                    HasSubstr("'attention' also rules bmm, baddbmm, matmul where both operands are "
                              "activations")));
  EXPECT_THAT(policy.explain("matmul"),
              AllOf(HasSubstr("parameter: fp32, as 'linear'"), HasSubstr("as 'attention'")));
}

// A rule for the name and one for an op of it hold side by side, whichever comes first.
TEST(UserNames, TheOrderDoesNotMatterForProducts) {
  auto first = kCpu, second = kCpu;
  first.set("linear", CastRule::fp32).set("addmm", CastRule::keep);
  second.set("addmm", CastRule::keep).set("linear", CastRule::fp32);
  EXPECT_TRUE(first == second);
  EXPECT_EQ(first.explain("addmm"), second.explain("addmm"));
  EXPECT_TRUE(OpPolicy::from_json(first.to_json()) == first);
}

TEST(UserNames, TheLastNameHoldsWhereTwoStandForAnOp) {
  auto policy = kCpu;
  policy.set("conv2d", CastRule::fp32).set("conv", CastRule::promote);
  EXPECT_EQ(policy.rule("conv2d"), CastRule::promote);
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
  policy.set("conv2d", CastRule::fp32);
  EXPECT_EQ(policy.rule("conv2d"), CastRule::fp32);
  EXPECT_EQ(policy.rule("conv3d"), CastRule::promote);
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy) << policy.to_json();
}

TEST(UserNames, TheNameOfOneOpIsBeforeThatOfMany) {
  const auto policy = OpPolicy::from_json(
      R"({"base": "torch_cpu", "rules": {"convolution": "fp32", "conv2d": "promote"}})");
  EXPECT_EQ(policy.rule("conv2d"), CastRule::promote);
  EXPECT_EQ(policy.rule("conv1d"), CastRule::fp32);
  EXPECT_EQ(policy.rule("convolution"), CastRule::fp32);
}

TEST(UserNames, SetBackItIsAsBefore) {
  auto policy = kCpu;
  policy.set("linear", CastRule::fp32).set("linear", CastRule::lower_precision);
  EXPECT_TRUE(policy == kCpu);
  EXPECT_EQ(policy.name(), "torch_cpu");
  EXPECT_EQ(policy.to_json(), kCpu.to_json());
  // Another rule for the products of activations makes a difference again.
  policy.set("addmm", CastRule::fp32);
  auto without = kCpu;
  without.set("addmm", CastRule::fp32);
  EXPECT_FALSE(policy == without);
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy) << policy.to_json();
}

TEST(UserNames, AMistypedNameIsSuggestedAndABadRuleNamesTheOp) {
  auto policy = kCpu;
  EXPECT_THAT([&] { policy.set("atention", CastRule::fp32); },
              testing::ThrowsMessage<InvalidArgument>(HasSubstr("did you mean 'attention'")));
  EXPECT_THAT([&] { policy.set("attention", CastRule::fp32_inside); },
              testing::ThrowsMessage<InvalidArgument>(HasSubstr("cannot follow fp32_inside")));
  EXPECT_TRUE(policy == kCpu);
}

}  // namespace
}  // namespace amp::tests::user_names_test
