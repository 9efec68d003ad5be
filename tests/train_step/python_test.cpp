// Whole trainings, as Python's PyTorch did them: losses, loss scales, skips and the last weights.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "amp/train_step.h"
#include "tests/support/golden.h"
#include "tests/support/mlp.h"

namespace amp::tests::python_test {
namespace {

// As in tests/golden/compare.py, which says where they come from.
const std::map<std::string, double> kTolerances = {{"fp32", 1e-6}, {"bf16", 5e-4}, {"fp16", 1e-4}};

Recipe recipe_of(const Json& run) {
  auto recipe = run["precision"] == "fp16"   ? Recipe::fp16()
                : run["precision"] == "bf16" ? Recipe::bf16()
                                             : Recipe::fp32();
  recipe.policy = OpPolicy::torch(test_device().type());
  recipe.accumulation = run["accumulation"];
  recipe.max_grad_norm = run["max_grad_norm"];
  recipe.scaler.init_scale = run["scaler"].value("init_scale", 65536.0);
  recipe.scaler.growth_interval = run["scaler"].value("growth_interval", 2000);
  return recipe;
}

Values all_weights(const Json& run) {
  Values all;
  for (const auto& weight : run["weights"]) {
    for (const double value : numbers(weight)) all.push_back(value);
  }
  return all;
}

class Python : public testing::TestWithParam<int> {};

TEST_P(Python, TrainsAlike) {
  const auto file = golden("training.json");
  ASSERT_EQ(file["runs"].size(), 9u);
  const auto run = file["runs"][static_cast<std::size_t>(GetParam())];
  SCOPED_TRACE(run["precision"].dump() + " " + run["optimizer"].dump());
  MlpImpl model;
  const auto optimizer = make_optimizer(run["optimizer"], model.parameters());
  TrainStep train_step(model, *optimizer, recipe_of(run));
  Values losses, scales;
  std::vector<bool> stepped;
  for (std::size_t i = 0; i < run["losses"].size(); ++i) {
    const auto data = batch(static_cast<std::int64_t>(i));
    const auto report = train_step([&] { return loss_of(model, data); });
    losses.push_back(report.loss().item<double>());
    scales.push_back(report.scale());
    stepped.push_back(report.stepped());
  }
  EXPECT_THAT(scales, AreExactly(numbers(run["scales"])));
  EXPECT_EQ(stepped, run["stepped"].get<std::vector<bool>>());
  EXPECT_EQ(train_step.scaler().get_scale(), number(run["final_scale"]));
  const double tolerance = kTolerances.at(run["precision"]);
  EXPECT_THAT(losses, AreWithin(tolerance, numbers(run["losses"])));
  EXPECT_THAT(weights_of(model), AreWithin(tolerance, all_weights(run)));
}

INSTANTIATE_TEST_SUITE_P(TrainStep, Python, testing::Range(0, 9));

}  // namespace
}  // namespace amp::tests::python_test
