// TrainStep binds a policy's rules of modules to its model.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <optional>

#include "amp/error.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/device.h"

namespace amp::tests::module_rules_test {
namespace {

struct NetImpl : torch::nn::Module {
  NetImpl() { to(test_device()); }
  torch::nn::Linear first = register_module("first", torch::nn::Linear(4, 4));
  torch::nn::Linear second = register_module("second", torch::nn::Linear(4, 4));
};
TORCH_MODULE(Net);

Recipe with(Recipe recipe, const std::string& pattern) {
  recipe.policy = OpPolicy::fast(test_device().type()).set_module(pattern, CastRule::fp32);
  return recipe;
}

TEST(ModuleRules, TrainStepKnowsTheNamesByItself) {
  const auto x = at::ones({2, 4}, test_device());
  for (const auto& recipe : {Recipe::bf16(), Recipe::fp16(), Recipe::O2()}) {
    Net net;
    optim::SGD optimizer(net->parameters(), {.lr = 0.1});
    TrainStep train_step(*net, optimizer, with(recipe, "second"));
    std::optional<at::ScalarType> first, second;
    for (int step = 0; step < 2; ++step) {
      train_step([&] {
        const auto inside = net->first(x);
        const auto outside = net->second(inside);
        first = inside.scalar_type();
        second = outside.scalar_type();
        return outside.to(at::kFloat).sum();
      });
      EXPECT_EQ(first, recipe.compute_dtype);
      EXPECT_EQ(second, at::kFloat);
    }
    // What evaluates the model under the same rules.
    const auto region = train_step.recipe().autocast(test_device());
    EXPECT_EQ(net->second(x).scalar_type(), at::kFloat);
  }
}

TEST(ModuleRules, AFrozenLayerIsLinearUnderTrainStep) {
  Net net;
  net->first->weight.requires_grad_(false);
  net->first->bias.requires_grad_(false);
  optim::SGD optimizer(net->second->parameters(), {.lr = 0.1});
  auto recipe = Recipe::bf16();
  recipe.policy = OpPolicy::fast(test_device().type()).set("linear", CastRule::fp32);
  TrainStep train_step(*net, optimizer, recipe);
  train_step([&] {
    const auto inside = net->first(at::ones({2, 4}, test_device()));
    EXPECT_EQ(inside.scalar_type(), at::kFloat);
    return net->second(inside).sum();
  });
}

TEST(ModuleRules, ARuleForNoModuleIsRefusedAndNothingChanged) {
  Net net;
  optim::SGD optimizer(net->parameters(), {.lr = 0.1});
  EXPECT_THAT(([&] { TrainStep train_step(*net, optimizer, with(Recipe::O2(), "secnd")); }),
              testing::ThrowsMessage<InvalidArgument>(
                  testing::HasSubstr("'secnd'; did you mean 'second'?")));
  EXPECT_EQ(net->first->weight.scalar_type(), at::kFloat);
}

TEST(ModuleRules, APolicyThatIsBoundToMoreKeepsThoseNames) {
  Net generator;
  struct BothImpl : torch::nn::Module {
    explicit BothImpl(Net net) { register_module("generator", net); }
  } both(generator);
  optim::SGD optimizer(generator->parameters(), {.lr = 0.1});
  auto recipe = with(Recipe::bf16(), "generator.second");
  recipe.policy->bind(both);
  TrainStep train_step(*generator, optimizer, recipe);
  train_step([&] {
    const auto result = generator->second(at::ones({2, 4}, test_device()));
    EXPECT_EQ(result.scalar_type(), at::kFloat);
    return result.sum();
  });
}

}  // namespace
}  // namespace amp::tests::module_rules_test
