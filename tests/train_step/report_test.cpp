// What a call reports, flush, and what a TrainStep can be used with.
#include <gtest/gtest.h>
#include <torch/data.h>

#include "amp/train_step.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::report_test {
namespace {

// One weight w of shape [1], and a loss whose gradient is the factor it is made with.
class OneImpl : public torch::nn::Module {
 public:
  explicit OneImpl(double value = 1.0) {
    weight = register_parameter("weight", parameter({value}));
  }
  auto times(double factor) {
    return [this, factor] { return (weight * factor).sum(); };
  }
  at::Tensor weight;
};

struct One {
  explicit One(const Recipe& recipe) : train_step(model, optimizer, recipe) {}
  double weight() const { return model.weight.item<double>(); }

  OneImpl model;
  torch::optim::SGD optimizer = sgd({model.weight}, 1.0);
  TrainStep train_step;
};

Recipe scaled(double init_scale) {
  return {.loss_scaling = LossScaling::dynamic,
          .scaler = {.init_scale = init_scale, .growth_interval = 1}};
}

TEST(TrainStep, S8_1_TheLossIsAsTheFunctionReturnedIt) {
  auto recipe = scaled(1024.0);
  recipe.accumulation = 4;
  One one(recipe);
  const auto report = one.train_step(one.model.times(3.0));
  EXPECT_EQ(report.loss().item<double>(), 3.0) << "neither scaled nor divided";
  EXPECT_FALSE(report.loss().requires_grad());
  EXPECT_TRUE(report.loss().sizes().empty());
}

TEST(TrainStep, S8_1_TheScaleIsTheOneThatWasUsed) {
  One one(scaled(1024.0));
  EXPECT_EQ(one.train_step(one.model.times(1.0)).scale(), 1024.0);
  EXPECT_EQ(one.train_step.scaler().get_scale(), 2048.0) << "grown since";
  EXPECT_EQ(one.train_step(one.model.times(1.0)).scale(), 2048.0);
  One plain(Recipe::fp32());
  EXPECT_EQ(plain.train_step(plain.model.times(1.0)).scale(), 1.0);
}

TEST(TrainStep, S8_1_AStepIsReported) {
  One one(scaled(8.0));
  const auto report = one.train_step(one.model.times(0.25));
  EXPECT_TRUE(report.at_boundary());
  EXPECT_TRUE(report.stepped());
  EXPECT_FALSE(report.skipped());
  EXPECT_EQ(report.reason(), "");
  EXPECT_EQ(one.weight(), 0.75);
  EXPECT_FALSE(one.model.weight.grad().defined()) << "gradients are set to none";
}

TEST(TrainStep, S8_1_ASkipIsReported) {
  One one(scaled(8.0));
  const auto report = one.train_step(one.model.times(kInf));
  EXPECT_TRUE(report.at_boundary());
  EXPECT_FALSE(report.stepped());
  EXPECT_TRUE(report.skipped());
  EXPECT_THAT(report.reason(), testing::HasSubstr("Inf or NaN at loss scale 8"));
  EXPECT_EQ(one.weight(), 1.0);
  EXPECT_FALSE(one.model.weight.grad().defined());
  EXPECT_EQ(one.train_step.scaler().get_scale(), 4.0);
}

TEST(TrainStep, S8_1_InsideAWindowThereIsNeitherAStepNorASkip) {
  auto recipe = Recipe::fp32();
  recipe.accumulation = 2;
  recipe.max_grad_norm = 1.0;
  One one(recipe);
  const auto first = one.train_step(one.model.times(0.5));
  EXPECT_FALSE(first.at_boundary());
  EXPECT_FALSE(first.stepped());
  EXPECT_FALSE(first.skipped());
  EXPECT_FALSE(first.grad_norm().has_value());
  EXPECT_EQ(one.weight(), 1.0);
  const auto second = one.train_step(one.model.times(0.25));
  EXPECT_TRUE(second.at_boundary());
  EXPECT_TRUE(second.stepped());
  EXPECT_EQ(one.weight(), 1.0 - 0.375) << "the mean of 0.5 and 0.25";
}

TEST(TrainStep, S8_1_TheGradientNormIsUnscaledAndBeforeClipping) {
  auto recipe = scaled(1024.0);
  recipe.max_grad_norm = 0.5;
  One one(recipe);
  EXPECT_EQ(one.train_step(one.model.times(4.0)).grad_norm(), 4.0);
  EXPECT_NEAR(one.weight(), 0.5, 1e-6) << "torch's formula adds 1e-6 to the norm";
  EXPECT_EQ(one.train_step(one.model.times(kInf)).grad_norm(), kInf);
  One without(scaled(8.0));
  EXPECT_FALSE(without.train_step(without.model.times(1.0)).grad_norm().has_value());
}

TEST(TrainStep, S8_1_FlushStepsWithTheMeanOverTheMicroBatchesSeen) {
  for (const auto scaling : {LossScaling::none, LossScaling::dynamic}) {
    auto recipe = scaled(16.0);
    recipe.loss_scaling = scaling;
    recipe.accumulation = 4;
    One one(recipe);
    one.train_step(one.model.times(0.5));
    one.train_step(one.model.times(0.25));
    const auto report = one.train_step.flush();
    EXPECT_TRUE(report.at_boundary());
    EXPECT_TRUE(report.stepped());
    EXPECT_FALSE(report.loss().defined());
    EXPECT_EQ(one.weight(), 1.0 - 0.375);
    EXPECT_FALSE(one.model.weight.grad().defined());
    EXPECT_EQ(report.scale(), scaling == LossScaling::none ? 1.0 : 16.0);
  }
}

TEST(TrainStep, S8_1_FlushClipsTheMean) {
  auto recipe = Recipe::fp32();
  recipe.accumulation = 4;
  recipe.max_grad_norm = 0.25;
  One one(recipe);
  one.train_step(one.model.times(1.0));
  EXPECT_EQ(one.train_step.flush().grad_norm(), 1.0);
  EXPECT_NEAR(one.weight(), 0.75, 1e-6);
}

TEST(TrainStep, S8_1_FlushWithoutAnyMicroBatchDoesNothing) {
  One one(scaled(8.0));
  one.train_step(one.model.times(0.25));
  const auto report = one.train_step.flush();
  EXPECT_FALSE(report.at_boundary());
  EXPECT_FALSE(report.stepped());
  EXPECT_FALSE(report.skipped());
  EXPECT_FALSE(report.loss().defined());
  EXPECT_EQ(one.weight(), 0.75);
  EXPECT_EQ(one.train_step.scaler().get_scale(), 16.0);
}

TEST(TrainStep, S8_1_AFlushedWindowIsOver) {
  auto recipe = Recipe::fp32();
  recipe.accumulation = 2;
  One one(recipe);
  one.train_step(one.model.times(0.5));
  one.train_step.flush();
  EXPECT_EQ(one.weight(), 0.5);
  EXPECT_FALSE(one.train_step(one.model.times(0.25)).at_boundary());
  EXPECT_TRUE(one.train_step(one.model.times(0.25)).at_boundary());
  EXPECT_EQ(one.weight(), 0.25);
}

TEST(TrainStep, S8_9_AFixedScaleStaysAndItsSkipsAreCounted) {
  Recipe recipe = {.loss_scaling = LossScaling::fixed, .static_scale = 48.0};
  recipe.scaler.growth_interval = 1;
  One one(recipe);
  EXPECT_EQ(one.train_step(one.model.times(0.25)).scale(), 48.0);
  EXPECT_TRUE(one.train_step(one.model.times(kNaN)).skipped());
  EXPECT_TRUE(one.train_step(one.model.times(kNaN)).skipped());
  EXPECT_EQ(one.train_step.scaler().get_scale(), 48.0);
  EXPECT_EQ(one.train_step.scaler().state_dict().consecutive_skips, 2);
  EXPECT_EQ(one.weight(), 0.75);
}

TEST(TrainStep, S8_9_ScalingWithFp32Works) {
  One one(scaled(0x1p100));
  EXPECT_TRUE(one.train_step(one.model.times(0x1p30)).skipped());
  EXPECT_TRUE(one.train_step(one.model.times(0.5)).stepped());
  EXPECT_EQ(one.weight(), 0.5);
}

TEST(TrainStep, S8_9_TheScalersOwnSwitchIsIgnored) {
  auto recipe = scaled(8.0);
  recipe.scaler.enabled = false;
  EXPECT_TRUE(One(recipe).train_step.scaler().is_enabled());
  recipe.loss_scaling = LossScaling::none;
  recipe.scaler.enabled = true;
  EXPECT_FALSE(One(recipe).train_step.scaler().is_enabled());
}

TEST(TrainStep, S8_10_AModelInAHolderTrainsAsOneOnTheStack) {
  MlpImpl on_stack;
  Mlp in_holder;
  const auto first = make_optimizer("sgd", on_stack.parameters());
  const auto second = make_optimizer("sgd", in_holder->parameters());
  TrainStep one(on_stack, *first, Recipe::bf16());
  TrainStep other(*in_holder, *second, Recipe::bf16());
  for (int i = 0; i < 3; ++i) {
    one([&] { return loss_of(on_stack, batch(i)); });
    other([&] { return loss_of(*in_holder, batch(i)); });
  }
  EXPECT_THAT(weights_of(on_stack), AreExactly(weights_of(*in_holder)));
}

// A data set of eight examples, each with its place in the pattern.
class Examples : public torch::data::datasets::Dataset<Examples> {
 public:
  torch::data::Example<> get(std::size_t index) override {
    const auto at = static_cast<std::int64_t>(index);
    return {all_.inputs[at], all_.targets[at]};
  }
  std::optional<std::size_t> size() const override { return 8; }

 private:
  Batch all_ = batch(0);
};

TEST(TrainStep, S8_10_BatchesMayComeFromATorchDataLoader) {
  MlpImpl model;
  const auto optimizer = make_optimizer("sgd", model.parameters());
  TrainStep train_step(model, *optimizer, Recipe::fp16());
  auto loader = torch::data::make_data_loader(Examples().map(torch::data::transforms::Stack<>()),
                                              torch::data::samplers::SequentialSampler(8),
                                              torch::data::DataLoaderOptions(3));
  Values losses;
  for (auto& examples : *loader) {
    const at::Tensor inputs[] = {examples.data, examples.target};
    const auto report = train_step(inputs, [&](at::TensorList given) {
      return loss_of(model, {given[0], given[1]});
    });
    EXPECT_TRUE(report.stepped());
    losses.push_back(report.loss().item<double>());
  }
  EXPECT_EQ(losses.size(), 3u);
}

}  // namespace
}  // namespace amp::tests::report_test
