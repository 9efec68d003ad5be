// Apex's habits: levels, scopes, several losses, masters, state.
#include "amp/apex.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::apex_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// One weight of three elements, so that every gradient is known.
class OneImpl : public torch::nn::Module {
 public:
  OneImpl() : weight(register_parameter("weight", tensor({1.0, -2.0, 4.0}))) {}
  at::Tensor loss(const Values& gradient) const { return (weight * tensor(gradient)).sum(); }
  at::Tensor weight;
};

torch::optim::SGD sgd_of(const torch::nn::Module& model) { return sgd(model.parameters()); }

ApexOptions fixed(double scale) { return {.loss_scale = scale}; }

TEST(Apex, O1IsAutocastAndAScaler) {
  Mlp by_hand, by_apex;
  auto first = make_optimizer("adam", by_hand->parameters());
  auto second = make_optimizer("adam", by_apex->parameters());
  GradScaler scaler;
  auto handle = std::make_unique<ApexHandle>(initialize(*by_apex, *second, "O1"));
  for (int i = 0; i < 6; ++i) {
    const auto data = batch(i);
    first->zero_grad();
    at::Tensor loss;
    {
      const Autocast autocast(test_device().type(), at::kHalf);
      loss = loss_of(*by_hand, data);
    }
    {
      const Autocast off(test_device().type(), {}, {.enabled = false});
      scaler.scale(loss).backward();
    }
    scaler.step(*first);
    scaler.update();

    second->zero_grad();
    loss = loss_of(*by_apex, data);
    {
      auto scaled_loss = handle->scale_loss(loss, *second);
      EXPECT_EQ(scaled_loss->scalar_type(), at::kFloat);
      scaled_loss->backward();
    }
    EXPECT_TRUE(handle->step(*second).stepped());
    EXPECT_EQ(handle->loss_scale(), scaler.get_scale());
  }
  EXPECT_EQ(weights_of(*by_hand), weights_of(*by_apex));
  EXPECT_EQ(by_apex->first->weight.scalar_type(), at::kFloat);
}

TEST(Apex, AutocastIsOnWhileTheHandleLivesAndOffInAScope) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  const auto type = test_device().type();
  {
    auto handle = initialize(model, optimizer, "O1");
    EXPECT_TRUE(at::autocast::is_autocast_enabled(type));
    EXPECT_EQ(at::autocast::get_autocast_dtype(type), at::kHalf);
    {
      auto scaled_loss = handle.scale_loss(model.loss({1.0, 1.0, 1.0}), optimizer);
      EXPECT_FALSE(at::autocast::is_autocast_enabled(type));
    }
    EXPECT_TRUE(at::autocast::is_autocast_enabled(type));
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(type));
}

TEST(Apex, TheScopeLeavesUnscaledGradients) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, 2.0, 3.0}), optimizer);
    scaled_loss->backward();
    EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{65536.0, 131072.0, 196608.0}));
  }
  EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0}));
}

TEST(Apex, AnOverflowSkipsTheStepAndHalvesTheScale) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, kInf, 3.0}), optimizer);
    scaled_loss->backward();
  }
  EXPECT_EQ(handle.loss_scale(), 32768.0);
  optimizer.step();  // as one who comes from Apex writes it
  EXPECT_THAT(values(model.weight), AreExactly(Values{1.0, -2.0, 4.0}));
  const auto result = handle.step(optimizer);
  EXPECT_TRUE(result.skipped());
  EXPECT_EQ(result.reason(), "a gradient of loss 0 was Inf or NaN at loss scale 65536");
  EXPECT_THAT(values(model.weight), AreExactly(Values{1.0, -2.0, 4.0}));
  {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, 2.0, 4.0}), optimizer);
    scaled_loss->backward();
  }
  EXPECT_TRUE(handle.step(optimizer).stepped());
  EXPECT_THAT(values(model.weight), AreExactly(Values{0.875, -2.25, 3.5}));
}

TEST(Apex, GradientsAddUpOverScopesWithAndWithoutDelay) {
  for (const bool delay : {true, false}) {
    OneImpl model;
    auto optimizer = sgd_of(model);
    auto handle = initialize(model, optimizer, "O1");
    model.weight.mutable_grad() = tensor({100.0, 0.0, 0.0});  // from before
    for (int i = 1; i <= 3; ++i) {
      auto scaled_loss = handle.scale_loss(model.loss({1.0 * i, 0.5, 0.0}), optimizer,
                                           {.delay_unscale = delay && i < 3});
      scaled_loss->backward();
    }
    EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{106.0, 1.5, 0.0})) << delay;
    EXPECT_TRUE(handle.step(optimizer).stepped());
  }
}

TEST(Apex, AnOverflowInOneMicroBatchSkipsTheWholeStep) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  for (const double gradient : {1.0, kNaN, 1.0}) {
    auto scaled_loss = handle.scale_loss(model.loss({gradient, 1.0, 1.0}), optimizer);
    scaled_loss->backward();
  }
  EXPECT_TRUE(handle.step(optimizer).skipped());
  EXPECT_THAT(values(model.weight), AreExactly(Values{1.0, -2.0, 4.0}));
}

TEST(Apex, LossesHaveScalesOfTheirOwn) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1", {.num_losses = 2});
  {
    auto scaled_loss = handle.scale_loss(model.loss({kInf, 1.0, 1.0}), optimizer, {.loss_id = 1});
    scaled_loss->backward();
  }
  EXPECT_TRUE(handle.step(optimizer).skipped());
  EXPECT_EQ(handle.loss_scale(0), 65536.0);
  EXPECT_EQ(handle.loss_scale(1), 32768.0);
  for (const std::int64_t id : {0, 1}) {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, 2.0, 3.0}), optimizer, {.loss_id = id});
    scaled_loss->backward();
  }
  EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{2.0, 4.0, 6.0}));
}

TEST(Apex, SeveralModelsAndOptimizers) {
  OneImpl a, b;
  auto first = sgd_of(a), second = sgd_of(b);
  auto handle = initialize({a, b}, {first, second}, "O1", {.num_losses = 2});
  {
    auto scaled_loss = handle.scale_loss(a.loss({1.0, 1.0, 1.0}) + b.loss({2.0, 2.0, 2.0}),
                                         ApexHandle::Optimizers{first, second});
    scaled_loss->backward();
  }
  {
    auto scaled_loss = handle.scale_loss(b.loss({kInf, 1.0, 1.0}), second, {.loss_id = 1});
    scaled_loss->backward();
  }
  EXPECT_TRUE(handle.step(first).stepped());
  EXPECT_TRUE(handle.step(second).skipped());
  EXPECT_THAT(values(a.weight), AreExactly(Values{0.875, -2.125, 3.875}));
  EXPECT_THAT(values(b.weight), AreExactly(Values{1.0, -2.0, 4.0}));
  EXPECT_EQ(handle.weights(1).at(0).first, "weight");
  EXPECT_THAT(handle.weights(0).at(0).second, IsIdenticalTo(a.weight.detach()));
}

TEST(Apex, O2TrainsAsTrainStepDoes) {
  Mlp by_step, by_apex;
  auto first = make_optimizer("adam", by_step->parameters());
  auto second = make_optimizer("adam", by_apex->parameters());
  TrainStep train_step(*by_step, *first, Recipe::O2());
  auto handle = initialize(*by_apex, *second, "O2");
  EXPECT_EQ(by_apex->first->weight.scalar_type(), at::kHalf);
  EXPECT_EQ(master_params(*second).at(0).scalar_type(), at::kFloat);
  for (int i = 0; i < 6; ++i) {
    const auto data = batch(i);
    {
      const Autocast off(test_device().type(), {}, {.enabled = false});
      train_step([&] { return loss_of(*by_step, data); });
    }
    second->zero_grad();
    {
      auto scaled_loss = handle.scale_loss(loss_of(*by_apex, data), *second);
      scaled_loss->backward();
    }
    handle.step(*second);
  }
  EXPECT_EQ(weights_of(*by_step), weights_of(*by_apex));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_THAT(handle.weights().at(i).second, IsIdenticalTo(train_step.weights().at(i).second));
    EXPECT_EQ(handle.weights().at(i).second.scalar_type(), at::kFloat);
  }
}

TEST(Apex, O2AccumulatesInTheMasters) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O2", fixed(8.0));
  for (const bool delay : {true, false}) {
    auto scaled_loss =
        handle.scale_loss(model.loss({1.0, 2.0, 4.0}), optimizer, {.delay_unscale = delay});
    scaled_loss->backward();
  }
  EXPECT_FALSE(model.weight.grad().defined());
  EXPECT_THAT(values(master_params(optimizer).at(0).grad()), AreExactly(Values{2.0, 4.0, 8.0}));
  handle.step(optimizer);
  EXPECT_THAT(values(model.weight), AreExactly(Values{0.75, -2.5, 3.0}));
}

TEST(Apex, OverridesChangeTheLevel) {
  Mlp model;
  auto optimizer = make_optimizer("sgd", model->parameters());
  const auto handle =
      initialize(*model, *optimizer, "O2", {.cast_model_type = at::kBFloat16, .loss_scale = 128});
  EXPECT_EQ(model->first->weight.scalar_type(), at::kBFloat16);
  EXPECT_EQ(at::autocast::get_autocast_dtype(test_device().type()), at::kBFloat16);
  EXPECT_EQ(handle.loss_scale(), 128.0);
}

TEST(Apex, AFixedScaleStaysAndStillSkips) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1", fixed(128.0));
  {
    auto scaled_loss = handle.scale_loss(model.loss({kInf, 2.0, 3.0}), optimizer);
    scaled_loss->backward();
  }
  EXPECT_TRUE(handle.step(optimizer).skipped());
  EXPECT_EQ(handle.loss_scale(), 128.0);
}

TEST(Apex, TheScaleStopsAtMaxLossScale) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  auto state = handle.state_dict();
  state[0].growth_interval = 1;
  handle.load_state_dict(state);
  for (int i = 0; i < 12; ++i) {
    auto scaled_loss = handle.scale_loss(model.loss({1e-9, 0.0, 0.0}), optimizer);
    scaled_loss->backward();
  }
  EXPECT_EQ(handle.loss_scale(), 16777216.0);
}

TEST(Apex, WithoutLossScalingAndDisabledTheLossItselfIsUsed) {
  for (const char* level : {"O0", "O3", "off"}) {
    OneImpl model;
    auto optimizer = sgd_of(model);
    const bool off = level == std::string("off");
    auto handle = initialize(model, optimizer, off ? "O1" : level, {.enabled = !off});
    model.weight.mutable_grad().reset();
    {
      const auto loss = model.loss({1.0, 2.0, 3.0});
      auto scaled_loss = handle.scale_loss(loss, optimizer);
      EXPECT_TRUE(scaled_loss->is_same(loss)) << level;
      scaled_loss->backward();
    }
    EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{1.0, 2.0, 3.0})) << level;
    EXPECT_TRUE(handle.step(optimizer).stepped());
    EXPECT_EQ(handle.loss_scale(), 1.0);
    EXPECT_TRUE(handle.state_dict().at(0).empty());
  }
}

TEST(Apex, WhenTheBackwardPassThrowsTheEarlierGradientsComeBack) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  model.weight.mutable_grad() = tensor({7.0, 8.0, 9.0});
  try {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, 1.0, 1.0}), optimizer);
    scaled_loss->backward();
    throw std::runtime_error("the user's");
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the user's");
  }
  EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{7.0, 8.0, 9.0}));
  EXPECT_EQ(handle.loss_scale(), 65536.0);
  EXPECT_TRUE(handle.step(optimizer).stepped());
}

TEST(Apex, AScopeMustEndBeforeTheStep) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1");
  auto scaled_loss = handle.scale_loss(model.loss({1.0, 1.0, 1.0}), optimizer);
  scaled_loss->backward();
  const auto says_open = ThrowsMessage<StateError>(HasSubstr("close() it first"));
  EXPECT_THAT([&] { handle.step(optimizer); }, says_open);
  EXPECT_THAT([&] { handle.state_dict(); }, says_open);
  EXPECT_THAT([&] { handle.scale_loss(model.loss({1.0, 1.0, 1.0}), optimizer); }, says_open);
  scaled_loss.close();
  scaled_loss.close();
  EXPECT_TRUE(handle.step(optimizer).stepped());
}

TEST(Apex, ScaledGradientsMustBeUnscaledBeforeTheStepAndByTheirOwnLoss) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1", {.num_losses = 2});
  const auto backward = [&](ScaleLossOptions options) {
    auto scaled_loss = handle.scale_loss(model.loss({1.0, 1.0, 1.0}), optimizer, options);
    scaled_loss->backward();
  };
  backward({.delay_unscale = true});
  EXPECT_THAT([&] { handle.step(optimizer); },
              ThrowsMessage<StateError>(HasSubstr("delay_unscale")));
  EXPECT_THAT([&] { backward({.loss_id = 1}); },
              ThrowsMessage<StateError>(HasSubstr("wait, scaled, for loss 0")));
  backward({});
  EXPECT_THAT(values(model.weight.grad()), AreExactly(Values{2.0, 2.0, 2.0}));
  EXPECT_TRUE(handle.step(optimizer).stepped());
}

// The other optimizer's overflow halves the scale of the loss for which these gradients wait.
TEST(Apex, AnAccumulationEndsAlthoughItsScaleHasChanged) {
  OneImpl waiting, other;
  auto first = sgd_of(waiting), second = sgd_of(other);
  auto handle = initialize({waiting, other}, {first, second}, "O1");
  const auto backward = [&](const OneImpl& model, torch::optim::Optimizer& optimizer,
                            const Values& gradient, ScaleLossOptions options) {
    auto scaled_loss = handle.scale_loss(model.loss(gradient), optimizer, options);
    scaled_loss->backward();
  };
  backward(waiting, first, {1.0, 2.0, 4.0}, {.delay_unscale = true});
  const double before = handle.loss_scale();
  backward(other, second, {kInf, 1.0, 1.0}, {});
  EXPECT_EQ(handle.loss_scale(), before / 2);
  EXPECT_TRUE(handle.step(second).skipped());
  backward(waiting, first, {1.0, 1.0, 1.0}, {});
  EXPECT_THAT(values(waiting.weight.grad()), AreExactly(Values{2.0, 3.0, 5.0}));
  EXPECT_TRUE(handle.step(first).stepped());
}

TEST(Apex, AParameterOfTwoOptimizersIsNotDividedTwice) {
  OneImpl model;
  auto first = sgd_of(model), second = sgd_of(model);
  auto handle = initialize({model}, {first, second}, "O1");
  EXPECT_THAT(
      [&] {
        auto scaled_loss =
            handle.scale_loss(model.loss({1.0, 1.0, 1.0}), ApexHandle::Optimizers{first, second});
        scaled_loss->backward();
        scaled_loss.close();
      },
      ThrowsMessage<StateError>(
          AllOf(HasSubstr("parameter 0 in group 0"), HasSubstr("another optimizer"))));
}

TEST(Apex, StateGoesRound) {
  OneImpl model;
  auto optimizer = sgd_of(model);
  auto handle = initialize(model, optimizer, "O1", {.num_losses = 2});
  {
    auto scaled_loss = handle.scale_loss(model.loss({kInf, 1.0, 1.0}), optimizer, {.loss_id = 1});
    scaled_loss->backward();
  }
  const auto state = handle.state_dict();
  EXPECT_EQ(state.at(0).scale, 65536.0);
  EXPECT_EQ(state.at(1).scale, 32768.0);
  EXPECT_EQ(state.at(1).consecutive_skips, 1);

  OneImpl other;
  auto its_optimizer = sgd_of(other);
  auto resumed = initialize(other, its_optimizer, "O1", {.num_losses = 2});
  resumed.load_state_dict(state);
  EXPECT_EQ(resumed.loss_scale(1), 32768.0);
  EXPECT_THAT(
      [&] { resumed.load_state_dict({state[0]}); },
      ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("holds 1"), HasSubstr("num_losses = 2"))));
  auto bad = state;
  bad[1].growth_factor = 1.0;
  bad[0].scale = 1.0;
  EXPECT_THROW(resumed.load_state_dict(bad), InvalidArgument);
  bad[1] = {};
  EXPECT_THROW(resumed.load_state_dict(bad), StateError);
  EXPECT_EQ(resumed.loss_scale(0), 65536.0);
}

TEST(Apex, AComplexParameterIsRefusedByName) {
  Mlp model;
  model->register_parameter(
      "phase", at::ones({2}, at::TensorOptions(at::kComplexFloat).device(test_device())));
  auto optimizer = make_optimizer("sgd", model->parameters());
  EXPECT_THAT([&] { initialize(*model, *optimizer, "O2"); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("initialize: parameter 'phase'"), HasSubstr("complex"))));
  EXPECT_EQ(model->first->weight.scalar_type(), at::kFloat);
}

TEST(Apex, BadInputIsRefusedAndNothingChanged) {
  Mlp model;
  auto optimizer = make_optimizer("sgd", model->parameters());
  const auto with = [&](const char* level, ApexOptions options) {
    return [&model, &optimizer, level, options] { initialize(*model, *optimizer, level, options); };
  };
  const auto says = [](const char* text) {
    return ThrowsMessage<InvalidArgument>(HasSubstr(text));
  };
  EXPECT_THAT(with("01", {}), says("the letter O, not a zero"));
  EXPECT_THAT(with("O1", {.cast_model_type = at::kHalf}), says("cast_model_type"));
  EXPECT_THAT(with("O1", {.keep_batchnorm_fp32 = true}), says("keep_batchnorm_fp32"));
  EXPECT_THAT(with("O1", {.master_weights = true}), says("master_weights"));
  EXPECT_THAT(with("O2", {.cast_model_type = at::kDouble}), says("Float, BFloat16 or Half"));
  EXPECT_THAT(with("O3", fixed(128)), says("loss scaling of a Half model without master weights"));
  EXPECT_THAT(with("O1", {.num_losses = 0}), says("num_losses must be >= 1, got 0"));
  EXPECT_THAT(with("O1", fixed(-1)), says("static_scale"));
  EXPECT_THAT(with("O1", {.min_loss_scale = 8, .max_loss_scale = 4}), says("max_scale"));
  EXPECT_THAT([] { ApexLossScale("dynamo"); }, says("\"dynamic\" or a number, got \"dynamo\""));
  EXPECT_EQ(model->first->weight.scalar_type(), at::kFloat);
  EXPECT_FALSE(at::autocast::is_autocast_enabled(test_device().type()));

  auto handle = initialize(*model, *optimizer, "O1");
  auto stranger = make_optimizer("sgd", model->parameters());
  const auto loss = at::ones({}).requires_grad_();
  EXPECT_THAT([&] { handle.step(*stranger); }, says("was not given to initialize()"));
  EXPECT_THAT([&] { handle.scale_loss(loss, *stranger); }, says("was not given to initialize()"));
  EXPECT_THAT([&] { handle.scale_loss(loss, *optimizer, {.loss_id = 1}); },
              says("loss_id must be below num_losses = 1, got 1"));
  EXPECT_THAT([&] { handle.scale_loss({}, *optimizer); }, says("an undefined one"));
  EXPECT_THAT([&] { handle.scale_loss(at::ones({}, at::kLong), *optimizer); }, says("Long"));
  EXPECT_THAT([&] { handle.weights(1); }, says("there is no model 1"));
  EXPECT_TRUE(handle.step(*optimizer).stepped());
}

}  // namespace
}  // namespace amp::tests::apex_test
