// What a TrainStep refuses, and what is left after something threw.
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/optim/lbfgs.h>

#include <stdexcept>

#include "amp/error.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::failures_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

auto refused(const std::string& why) { return ThrowsMessage<InvalidArgument>(HasSubstr(why)); }

at::Tensor fails() { throw std::runtime_error("the user's own"); }

// One weight w, SGD that can fail on request.
struct Small {
  struct Model : torch::nn::Module {
    at::Tensor weight = register_parameter("weight", parameter({1.0}));
  };
  struct Stepper : torch::optim::SGD {
    using SGD::SGD;
    at::Tensor step(LossClosure closure) override {
      if (fails) throw std::runtime_error("the step failed");
      return SGD::step(std::move(closure));
    }
    bool fails = false;
  };

  explicit Small(const Recipe& recipe) : train_step(model, optimizer, recipe) {}
  auto times(double factor) {
    return [this, factor] { return (model.weight * factor).sum(); };
  }
  double weight() const { return model.weight.item<double>(); }

  Model model;
  Stepper optimizer{std::vector<at::Tensor>{model.weight}, torch::optim::SGDOptions(1.0)};
  TrainStep train_step;
};

Recipe fp16_windows_of(std::int64_t accumulation) {
  auto recipe = Recipe::fp16();
  recipe.accumulation = accumulation;
  recipe.scaler = {.init_scale = 8.0, .growth_interval = 1};
  return recipe;
}

TEST(TrainStep, S3_2_AnExceptionFromTheLossRestoresAutocast) {
  Small small(Recipe::bf16());
  EXPECT_THROW(small.train_step(fails), std::runtime_error);
  EXPECT_FALSE(at::autocast::is_autocast_enabled(test_device().type()));
  EXPECT_EQ(at::autocast::increment_nesting(), 1);
  at::autocast::decrement_nesting();
}

TEST(TrainStep, S1_4_AfterAnExceptionFromTheLossEarlierMicroBatchesSurvive) {
  Small small(fp16_windows_of(2));
  small.train_step(small.times(0.5));
  EXPECT_THROW(small.train_step(fails), std::runtime_error);
  EXPECT_THROW(small.train_step([] { return at::ones({2}); }), InvalidArgument);
  EXPECT_THAT(values(small.model.weight.grad()), AreExactly(Values{2.0})) << "0.5 x 8 / 2";
  const auto report = small.train_step(small.times(0.25));
  EXPECT_TRUE(report.stepped()) << "the failed calls did not count";
  EXPECT_EQ(small.weight(), 1.0 - 0.375);
  EXPECT_EQ(small.train_step.scaler().get_scale(), 16.0);
}

TEST(TrainStep, S6_11_ALossThatIsNotOneFloatingPointElementIsRefused) {
  Small small(Recipe::fp32());
  const auto returning = [&](const at::Tensor& loss) {
    return [&small, loss] { small.train_step([&] { return loss; }); };
  };
  const auto& weight = small.model.weight;
  EXPECT_THAT(returning({}), refused("undefined"));
  EXPECT_THAT(returning(weight.expand({3})), refused("shape [3]"));
  EXPECT_THAT(returning(weight.expand({2, 0})), refused("shape [2, 0]"));
  EXPECT_THAT(returning(at::ones({}, at::kLong)), refused("Long"));
  EXPECT_THAT(returning(at::ones({})), refused("does not depend on any parameter"));
  EXPECT_THAT(returning(weight.sum().detach()), refused("does not depend on any parameter"));
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_TRUE(small.train_step([&] { return weight * 0.5; }).stepped())
      << "shape [1] is one element";
  EXPECT_EQ(small.weight(), 0.5);
}

TEST(TrainStep, S1_9_AStepThatThrowsLosesItsWindowAndNothingElse) {
  Small small(fp16_windows_of(1));
  small.optimizer.fails = true;
  EXPECT_THROW(small.train_step(small.times(0.5)), std::runtime_error);
  EXPECT_FALSE(small.model.weight.grad().defined());
  EXPECT_EQ(small.train_step.scaler().get_scale(), 8.0);
  small.optimizer.fails = false;
  EXPECT_TRUE(small.train_step(small.times(0.25)).stepped());
  EXPECT_EQ(small.weight(), 0.75);
  EXPECT_EQ(small.train_step.scaler().get_scale(), 16.0);
}

TEST(TrainStep, S1_6_AWindowWithoutAnyGradientThrowsAndIsOver) {
  Small small(fp16_windows_of(1));
  const auto elsewhere = parameter({1.0});
  EXPECT_THAT([&] { small.train_step([&] { return elsewhere.sum(); }); },
              ThrowsMessage<StateError>(HasSubstr("has a gradient")));
  EXPECT_TRUE(small.train_step(small.times(0.25)).stepped());
  EXPECT_EQ(small.weight(), 0.75);
}

TEST(TrainStep, S8_2_TooManySkipsInARowThrowAfterTheWorkIsDone) {
  auto recipe = fp16_windows_of(1);
  recipe.scaler.max_consecutive_skips = 2;
  Small small(recipe);
  EXPECT_TRUE(small.train_step(small.times(kNaN)).skipped());
  EXPECT_THROW(small.train_step(small.times(kNaN)), NumericalError);
  EXPECT_EQ(small.train_step.scaler().get_scale(), 2.0);
  EXPECT_FALSE(small.model.weight.grad().defined());
  EXPECT_TRUE(small.train_step(small.times(0.25)).stepped());
  EXPECT_EQ(small.weight(), 0.75);
}

TEST(TrainStep, S8_2_AFixedScaleCountsToo) {
  Recipe recipe = {.loss_scaling = LossScaling::fixed, .static_scale = 8.0};
  recipe.scaler.max_consecutive_skips = 2;
  Small small(recipe);
  EXPECT_TRUE(small.train_step(small.times(kInf)).skipped());
  EXPECT_THROW(small.train_step(small.times(kInf)), NumericalError);
  EXPECT_EQ(small.train_step.scaler().get_scale(), 8.0);
}

TEST(TrainStep, S6_11_AParameterThatIsNoMasterWeightIsRefusedByName) {
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat8_e5m2}) {
    MlpImpl model;
    model.second->weight.set_data(model.second->weight.detach().to(dtype));
    const auto optimizer = make_optimizer("sgd", model.parameters());
    EXPECT_THAT([&] { TrainStep(model, *optimizer, Recipe::fp16()); },
                ThrowsMessage<InvalidArgument>(
                    AllOf(HasSubstr("'second.weight'"), HasSubstr("[3, 8]"),
                          HasSubstr(c10::toString(dtype)), HasSubstr("master weights"))));
  }
}

TEST(TrainStep, S6_11_AComplexParameterIsRefusedByNameWhenItIsMade) {
  struct Model : torch::nn::Module {
    at::Tensor weight = register_parameter("weight", parameter({1.0}));
    at::Tensor phase = register_parameter(
        "phase", at::ones({2}, weight.options().dtype(at::kComplexFloat)).requires_grad_());
  };
  Model model;
  auto all = sgd(model.parameters());
  auto one = sgd({model.weight});
  const auto why =
      AllOf(HasSubstr("'phase'"), HasSubstr("ComplexFloat"), HasSubstr("view_as_real"));
  for (const auto& recipe : {Recipe::fp16(), Recipe::bf16(), Recipe::O2()}) {
    EXPECT_THAT([&] { TrainStep(model, one, recipe); }, ThrowsMessage<InvalidArgument>(why));
    EXPECT_THAT([&] { TrainStep(model, all, recipe); }, ThrowsMessage<InvalidArgument>(why));
  }
  // Of a loss's parameters, which the model does not have.
  Small::Model plain;
  auto both = sgd({plain.weight, model.phase});
  EXPECT_THAT([&] { TrainStep(plain, both, Recipe::fp16()); },
              refused("parameter '1 of group 0' (shape [2]) is ComplexFloat"));
  EXPECT_EQ(both.param_groups()[0].params()[0].scalar_type(), at::kFloat);
  model.phase.set_requires_grad(false);
  EXPECT_NO_THROW(TrainStep(model, one, Recipe::fp16()));
}

TEST(TrainStep, S6_11_FrozenParametersMayHaveAnyDtype) {
  MlpImpl model;
  model.first->to(at::kHalf);
  for (auto& weight : model.first->parameters()) weight.set_requires_grad(false);
  const auto optimizer = make_optimizer("sgd", model.second->parameters());
  EXPECT_NO_THROW(TrainStep(model, *optimizer, Recipe::fp16()));
}

TEST(TrainStep, S6_11_AModelWithNothingToTrainIsRefused) {
  MlpImpl model;
  for (auto& weight : model.parameters()) weight.set_requires_grad(false);
  const auto optimizer = make_optimizer("sgd", model.parameters());
  EXPECT_THAT([&] { TrainStep(model, *optimizer, Recipe::fp32()); },
              refused("no floating-point parameter to train"));
}

TEST(TrainStep, S6_13_LbfgsIsRefusedByName) {
  MlpImpl model;
  torch::optim::LBFGS optimizer(model.parameters());
  for (const auto& recipe : {Recipe::fp16(), Recipe::fp32()}) {
    EXPECT_THAT([&] { TrainStep(model, optimizer, recipe); }, refused("TrainStep: LBFGS"));
  }
}

TEST(TrainStep, S8_10_AnOptimizerWithoutAnyParameterIsRefused) {
  MlpImpl model;
  auto optimizer = sgd({});
  EXPECT_THAT([&] { TrainStep(model, optimizer, Recipe::fp16()); }, refused("no parameters"));
}

TEST(TrainStep, S8_9_ABadRecipeIsRefused) {
  MlpImpl model;
  const auto optimizer = make_optimizer("sgd", model.parameters());
  EXPECT_THAT([&] { TrainStep(model, *optimizer, {.accumulation = 0}); },
              refused("Recipe: accumulation"));
  auto recipe = Recipe::fp16();
  recipe.scaler.growth_factor = 0.5;
  EXPECT_THAT([&] { TrainStep(model, *optimizer, recipe); }, refused("growth_factor"));
}

}  // namespace
}  // namespace amp::tests::failures_test
