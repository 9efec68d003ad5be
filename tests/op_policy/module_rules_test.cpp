// Rules by module: patterns, binding, words and JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <optional>

#include "amp/error.h"
#include "amp/op_policy.h"

namespace amp::tests::module_rules_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const OpPolicy kCpu = OpPolicy::torch(c10::DeviceType::CPU);

// blocks.0.fc, blocks.1.fc and head.
struct NetImpl : torch::nn::Module {
  NetImpl() {
    for (int i = 0; i < 2; ++i) {
      auto block = std::make_shared<torch::nn::Module>("block");
      block->register_module("fc", torch::nn::Linear(2, 2));
      blocks->push_back(block);
    }
  }
  torch::nn::ModuleList blocks = register_module("blocks", torch::nn::ModuleList());
  torch::nn::Linear head = register_module("head", torch::nn::Linear(2, 2));
};
TORCH_MODULE(Net);

std::string rule_text(const OpPolicy& policy, const std::string& module) {
  const auto text = policy.explain_module(module);
  const auto begin = text.find(": ") + 2;
  return text.substr(begin, text.find(" (") - begin);
}

TEST(ModuleRules, APatternMeansAModuleAndAllInside) {
  struct Case {
    const char *pattern, *module;
    bool is_meant;
  };
  for (const auto& [pattern, module, is_meant] :
       {Case{"blocks.3", "blocks.3", true}, Case{"blocks.3", "blocks.3.attn.q", true},
        Case{"blocks.3", "blocks.30", false}, Case{"blocks.3", "blocks", false},
        Case{"blocks.3.*", "blocks.3", true}, Case{"blocks.3.*", "blocks.3.attn", true},
        Case{"blocks.3.*", "blocks.31.attn", false}, Case{"blocks.*.attn", "blocks.7.attn", true},
        Case{"blocks.*.attn", "blocks.7.x.attn.q", true}, Case{"*.attn", "blocks.7.attn", true},
        Case{"*.attn", "attn", false}, Case{"*attn", "attn", true}, Case{"fc?", "fc1", true},
        Case{"fc?", "fc10", false}, Case{"*", "", true}, Case{"*", "a.b", true},
        Case{"fc", "", false}, Case{"a*b*c", "axxbyyc", true}, Case{"a*b*c", "axxbyy", false}}) {
    auto policy = kCpu;
    policy.set_module(pattern, CastRule::fp32);
    EXPECT_EQ(rule_text(policy, module) == "fp32", is_meant) << pattern << " and " << module;
  }
}

TEST(ModuleRules, TheLastRuleThatMeansAModuleHolds) {
  auto policy = kCpu;
  policy.set_module("*", CastRule::fp32).set_module("head", CastRule::lower_precision);
  EXPECT_EQ(rule_text(policy, "head"), "lower_precision");
  EXPECT_EQ(rule_text(policy, "blocks.0.fc"), "fp32");
  policy.set_module("*", CastRule::keep);
  EXPECT_EQ(rule_text(policy, "head"), "keep");
  EXPECT_EQ(policy.explain_module("head"),
            "head: keep (its ops' tensors stay as they are), by the rule of the module *");
  EXPECT_EQ(kCpu.explain_module(""), "the model: each op by its own rule");
}

TEST(ModuleRules, ExplainNamesThem) {
  auto policy = kCpu;
  policy.set_module("blocks.3.*", CastRule::fp32);
  EXPECT_EQ(
      policy.explain("mm"),
      "mm: lower_precision (its tensors are cast to the region's dtype), by torch's CPU list; "
      "in the module blocks.3.*: fp32");
  EXPECT_EQ(policy.explain("relu", "module blocks.3.*"),
            "relu: fp32 (its tensors are cast to fp32), by the rule of the module blocks.3.*");
  EXPECT_EQ(policy.name(), "torch_cpu, edited");
}

TEST(ModuleRules, JsonGoesRoundInItsOrder) {
  auto policy = kCpu;
  policy.set_module("z", CastRule::fp32)
      .set_module("a.*", CastRule::keep)
      .set("mm", CastRule::fp32);
  EXPECT_EQ(policy.to_json(), R"({
  "base": "torch_cpu",
  "modules": [
    {
      "module": "z",
      "rule": "fp32"
    },
    {
      "module": "a.*",
      "rule": "keep"
    }
  ],
  "rules": {
    "mm": "fp32"
  }
})");
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
  auto turned = kCpu;
  turned.set_module("a.*", CastRule::keep)
      .set_module("z", CastRule::fp32)
      .set("mm", CastRule::fp32);
  EXPECT_FALSE(turned == policy) << "the last one holds";
  EXPECT_FALSE(policy == kCpu);
  auto by_object =
      OpPolicy::from_json(R"({"base": "torch_cpu", "modules": {"a.*": "keep", "z": "fp32"}})");
  by_object.set("mm", CastRule::fp32);
  EXPECT_TRUE(by_object == turned);
}

TEST(ModuleRules, BadOnesAreRefusedAndNothingChanged) {
  auto policy = kCpu;
  EXPECT_THROW(policy.set_module("", CastRule::fp32), InvalidArgument);
  for (const auto rule : {CastRule::banned, CastRule::fp32_inside, CastRule::fp32_set_opt_dtype,
                          CastRule::fp32_append_dtype})
    EXPECT_THAT(
        [&] { policy.set_module("a", rule); },
        ThrowsMessage<InvalidArgument>(HasSubstr("lower_precision, fp32, promote or keep")));
  EXPECT_TRUE(policy == kCpu);
  const auto refused = [](const char* modules, const char* text) {
    const auto json = std::string(R"({"base": "torch_cpu", "modules": )") + modules + "}";
    EXPECT_THAT([&] { OpPolicy::from_json(json); },
                ThrowsMessage<InvalidArgument>(HasSubstr(text)));
  };
  refused("3", "modules must be a list");
  refused("[3]", "a rule of a module must be");
  refused(R"([{"module": "a"}])", "a rule of a module must be");
  refused(R"([{"module": "a", "rule": "fp23"}])", "did you mean 'fp32'");
  refused(R"({"a": 1})", "the rule of the module a must be a text");
}

TEST(ModuleRules, APatternThatMeansNothingIsRefusedByName) {
  Net net;
  auto policy = kCpu;
  policy.set_module("block.1.*", CastRule::fp32);
  EXPECT_THAT([&] { policy.bind(net); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("no module of the model is meant by 'block.1.*'"),
                        HasSubstr("did you mean 'blocks.1'"))));
  auto bound = kCpu;
  bound.bind(net);
  EXPECT_THROW(bound.set_module("haed", CastRule::fp32), InvalidArgument);
  EXPECT_TRUE(bound == kCpu);
  EXPECT_NO_THROW(bound.set_module("head", CastRule::fp32));
}

TEST(ModuleRules, BindTakesModulesHoldersAndPointers) {
  auto policy = kCpu;
  policy.set_module("head", CastRule::fp32);
  Net holder;
  auto shared = std::make_shared<NetImpl>();
  auto unique = std::make_unique<NetImpl>();
  NetImpl on_the_stack;
  EXPECT_TRUE(policy.needs_model(on_the_stack));
  EXPECT_NO_THROW(policy.bind(holder));
  EXPECT_NO_THROW(policy.bind(shared));
  EXPECT_NO_THROW(policy.bind(unique));
  EXPECT_NO_THROW(policy.bind(&on_the_stack));
  EXPECT_NO_THROW(policy.bind(on_the_stack));
  EXPECT_FALSE(policy.needs_model(on_the_stack));
  EXPECT_FALSE(policy.needs_model(*on_the_stack.head)) << "it is a part of what is bound";
  EXPECT_THAT([&] { policy.bind(std::shared_ptr<NetImpl>()); },
              ThrowsMessage<InvalidArgument>(HasSubstr("the holder of the model is empty")));
  EXPECT_THROW(policy.bind(Net(nullptr)), InvalidArgument);
}

}  // namespace
}  // namespace amp::tests::module_rules_test
