// A TrainStep does what the separate calls of Autocast, GradScaler and clipping do, bit for bit.
#include <gtest/gtest.h>
#include <torch/nn/utils/clip_grad.h>

#include <optional>
#include <string>
#include <tuple>

#include "amp/autocast.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"

namespace amp::tests::separate_calls_test {
namespace {

constexpr int kMicroBatches = 24;

struct Trace {
  Values losses, scales, norms, weights;
  int skips = 0;
};

Recipe recipe_named(const std::string& precision) {
  if (precision == "bf16") return Recipe::bf16();
  auto recipe = precision == "fp16" ? Recipe::fp16() : Recipe::fp32();
  if (precision == "scaled fp32") recipe.loss_scaling = LossScaling::dynamic;
  recipe.scaler = {.init_scale = 0x1p19, .growth_interval = 3};
  return recipe;
}

Trace with_train_step(const Recipe& recipe, const std::string& optimizer_name) {
  MlpImpl model;
  const auto optimizer = make_optimizer(optimizer_name, model.parameters());
  TrainStep train_step(model, *optimizer, recipe);
  Trace trace;
  for (int i = 0; i < kMicroBatches; ++i) {
    const auto report = train_step([&] { return loss_of(model, batch(i)); });
    trace.losses.push_back(report.loss().item<double>());
    trace.scales.push_back(report.scale());
    if (const auto norm = report.grad_norm()) trace.norms.push_back(*norm);
    trace.skips += report.skipped();
  }
  trace.weights = weights_of(model);
  return trace;
}

at::Tensor forward(const Recipe& recipe, MlpImpl& model, int i) {
  std::optional<Autocast> autocast;
  if (recipe.compute_dtype != at::kFloat) {
    autocast.emplace(test_device().type(), recipe.compute_dtype,
                     AutocastOptions{.policy = OpPolicy::fast(test_device().type())});
  }
  return loss_of(model, batch(i));
}

Trace with_separate_calls(const Recipe& recipe, const std::string& optimizer_name) {
  MlpImpl model;
  const auto optimizer = make_optimizer(optimizer_name, model.parameters());
  auto options = recipe.scaler;
  options.enabled = recipe.loss_scaling == LossScaling::dynamic;
  GradScaler scaler(options);
  Trace trace;
  for (int i = 0; i < kMicroBatches; ++i) {
    const auto loss = forward(recipe, model, i);
    trace.losses.push_back(loss.item<double>());
    trace.scales.push_back(scaler.get_scale());
    scaler.scale(loss / static_cast<double>(recipe.accumulation)).backward();
    if ((i + 1) % recipe.accumulation != 0) continue;
    scaler.unscale_(*optimizer);
    if (recipe.max_grad_norm > 0) {
      const auto norm = torch::nn::utils::clip_grad_norm_(model.parameters(), recipe.max_grad_norm);
      trace.norms.push_back(norm);
    }
    trace.skips += scaler.step(*optimizer).skipped();
    scaler.update();
    optimizer->zero_grad();
  }
  trace.weights = weights_of(model);
  return trace;
}

using Case = std::tuple<const char*, const char*, int, double>;
class SeparateCalls : public testing::TestWithParam<Case> {};

TEST_P(SeparateCalls, GiveTheSameBits) {
  const auto [precision, optimizer, accumulation, max_grad_norm] = GetParam();
  auto recipe = recipe_named(precision);
  recipe.accumulation = accumulation;
  recipe.max_grad_norm = max_grad_norm;
  const auto ours = with_train_step(recipe, optimizer);
  const auto theirs = with_separate_calls(recipe, optimizer);
  EXPECT_THAT(ours.scales, AreExactly(theirs.scales));
  // The fused step takes its norm in double, of which clip_grad_norm_ knows nothing.
  const bool same_norm = max_grad_norm == 0 || optimizer[0] != 'A';
  const double tolerance = recipe.compute_dtype == at::kFloat ? 1e-6 : 1e-2;
  const auto like = [&](const Values& wanted) {
    return AreWithin(same_norm ? 0.0 : tolerance, wanted);
  };
  EXPECT_THAT(ours.losses, like(theirs.losses));
  EXPECT_THAT(ours.norms, like(theirs.norms));
  EXPECT_THAT(ours.weights, like(theirs.weights));
  EXPECT_EQ(ours.skips, theirs.skips);
  EXPECT_EQ(ours.norms.empty(), max_grad_norm == 0);
  if (recipe.compute_dtype == at::kHalf) {
    EXPECT_GT(ours.skips, 0) << "a comparison without an overflow proves little";
    EXPECT_LT(ours.skips, kMicroBatches / accumulation);
  }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  const auto [precision, optimizer, accumulation, max_grad_norm] = info.param;
  auto name = std::string(precision) + "_" + optimizer;
  for (auto& letter : name) {
    if (letter == ' ') letter = '_';
  }
  if (accumulation > 1) name += "_accumulation";
  if (max_grad_norm > 0) name += "_clipping";
  return name;
}

INSTANTIATE_TEST_SUITE_P(TrainStep, SeparateCalls,
                         testing::Combine(testing::Values("fp32", "bf16", "fp16", "scaled fp32"),
                                          testing::Values("sgd", "adam", "Adam", "AdamW"),
                                          testing::Values(1, 3), testing::Values(0.0, 0.3)),
                         name_of);

}  // namespace
}  // namespace amp::tests::separate_calls_test
