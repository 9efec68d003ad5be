// Orders of the calls in which gradients come and go, and optimizers throw: each call that is
// accepted leaves a scaler that goes on.
#include <gtest/gtest.h>

#include <stdexcept>

#include "amp/error.h"
#include "amp/optim.h"
#include "tests/support/training.h"

namespace amp::tests::orders_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

auto says(const std::string& what) { return ThrowsMessage<StateError>(HasSubstr(what)); }

// zero_grad() detaches the gradients first, and these are views.
void clear(torch::optim::Optimizer& optimizer) {
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) parameter.mutable_grad().reset();
  }
}

// Two parameters in groups of their own, the second without a gradient unless it is given one.
template <typename Optimizer>
struct Pair {
  at::Tensor first = parameter({1.0, 2.0}), second = parameter({4.0});
  Optimizer optimizer;
  GradScaler scaler{{.init_scale = 8.0}};

  static Optimizer made(const at::Tensor& a, const at::Tensor& b) {
    if constexpr (std::is_same_v<Optimizer, torch::optim::SGD>) {
      std::vector<torch::optim::OptimizerParamGroup> groups;
      groups.emplace_back(std::vector<at::Tensor>{a});
      groups.emplace_back(std::vector<at::Tensor>{b});
      return torch::optim::SGD(groups, torch::optim::SGDOptions(0.125));
    } else {
      return Optimizer({{{a}, {.lr = 0.125}}, {{b}, {.lr = 0.125}}});
    }
  }
  Pair() : optimizer(made(first, second)) { scaler.scale(at::zeros({})); }

  // A whole iteration that must do what it does on a fresh scaler.
  void expect_sound() {
    for (auto& weight : {&first, &second}) {
      c10::NoGradGuard no_grad;
      weight->fill_(1.0);
    }
    scaler.scale(at::zeros({}));
    const double scale = scaler.get_scale();
    set_gradient(first, {8.0 * scale, -8.0 * scale});
    set_gradient(second, {16.0 * scale});
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_THAT(values(first), AreExactly(Values{0.0, 2.0}));
    EXPECT_THAT(values(second), AreExactly(Values{-1.0}));
    EXPECT_NO_THROW(scaler.update());
    EXPECT_NO_THROW(scaler.state_dict());
  }
};

template <typename Optimizer>
class Orders : public testing::Test {};
using Kinds = testing::Types<torch::optim::SGD, optim::SGD>;
TYPED_TEST_SUITE(Orders, Kinds);

TYPED_TEST(Orders, GradientsThatComeAfterAnEmptyUnscaleAreUnscaledByStep) {
  Pair<TypeParam> run;
  run.scaler.unscale_(run.optimizer);
  set_gradient(run.first, {64.0, -64.0});
  EXPECT_TRUE(run.scaler.step(run.optimizer).stepped());
  EXPECT_THAT(values(run.first), AreExactly(Values{0.0, 3.0}));
  run.scaler.update();
  run.expect_sound();
}

TYPED_TEST(Orders, GradientsThatComeAfterAnEmptyUnscaleAreUnscaledByTheNextOne) {
  Pair<TypeParam> run;
  run.scaler.unscale_(run.optimizer);
  set_gradient(run.first, {64.0, kInf});
  run.scaler.unscale_(run.optimizer);
  EXPECT_THAT(values(run.first.grad()), AreExactly(Values{8.0, kInf}));
  EXPECT_THAT([&] { run.scaler.unscale_(run.optimizer); }, says("already been called"));
  EXPECT_TRUE(run.scaler.step(run.optimizer).skipped());
  run.scaler.update();
  EXPECT_EQ(run.scaler.get_scale(), 4.0);
  run.expect_sound();
}

TYPED_TEST(Orders, AnEmptyUnscaleKeepsNobodyFromTheStateNorTheNextIteration) {
  Pair<TypeParam> run;
  run.scaler.unscale_(run.optimizer);
  EXPECT_THAT([&] { run.scaler.step(run.optimizer); }, says("has a gradient"));
  EXPECT_THAT([&] { run.scaler.update(); }, says("without an inf check"));
  EXPECT_EQ(run.scaler.state_dict().scale, 8.0) << "nothing was unscaled: no iteration has begun";
  run.expect_sound();
}

TYPED_TEST(Orders, AGradientThatComesAfterUnscaleIsRefusedByName) {
  Pair<TypeParam> run;
  set_gradient(run.first, {64.0, -64.0});
  run.scaler.unscale_(run.optimizer);
  set_gradient(run.second, {64.0});
  EXPECT_THAT(
      [&] { run.scaler.step(run.optimizer); },
      ThrowsMessage<StateError>(AllOf(HasSubstr("parameter 0 in group 1"),
                                      HasSubstr("came after unscale_()"), HasSubstr("update()"))));
  EXPECT_THAT(values(run.first), AreExactly(Values{1.0, 2.0}));
  EXPECT_THAT(values(run.second), AreExactly(Values{4.0}));
  EXPECT_THAT(values(run.second.grad()), AreExactly(Values{64.0}));
  run.second.mutable_grad().reset();
  EXPECT_TRUE(run.scaler.step(run.optimizer).stepped());
  EXPECT_THAT(values(run.first), AreExactly(Values{0.0, 3.0}));
  run.scaler.update();
  run.expect_sound();
}

TYPED_TEST(Orders, AfterThatRefusalUpdateEndsTheIteration) {
  Pair<TypeParam> run;
  set_gradient(run.first, {64.0, -64.0});
  run.scaler.unscale_(run.optimizer);
  set_gradient(run.second, {64.0});
  EXPECT_THROW(run.scaler.step(run.optimizer), StateError);
  EXPECT_NO_THROW(run.scaler.update());
  run.expect_sound();
}

// zero_grad() after unscale_, and a whole new pass: what is there now is scaled.
TYPED_TEST(Orders, AGradientThatAnotherBackwardMadeAfterUnscaleIsRefused) {
  Pair<TypeParam> run;
  set_gradient(run.first, {64.0, -64.0});
  run.scaler.unscale_(run.optimizer);
  clear(run.optimizer);
  run.scaler.scale(run.first.sum()).backward();
  EXPECT_THAT(
      [&] { run.scaler.step(run.optimizer); },
      says("parameter 0 in group 0 (shape [2], Float, Strided) is another than unscale_()"));
  EXPECT_THAT(values(run.first), AreExactly(Values{1.0, 2.0}));
  run.scaler.update();
  EXPECT_TRUE(run.scaler.step(run.optimizer).stepped());
  EXPECT_THAT(values(run.first), AreExactly(Values{0.875, 1.875}));
  run.scaler.update();
  run.expect_sound();
}

// Clipping that puts another tensor there, as Python's users do; no loss was scaled since.
TYPED_TEST(Orders, AGradientThatTheUserReplacesAfterUnscaleIsTakenAsItIs) {
  Pair<TypeParam> run;
  set_gradient(run.first, {64.0, -64.0});
  run.scaler.unscale_(run.optimizer);
  run.first.mutable_grad() = run.first.grad().clamp(-4.0, 4.0);
  EXPECT_TRUE(run.scaler.step(run.optimizer).stepped());
  EXPECT_THAT(values(run.first), AreExactly(Values{0.5, 2.5}));
  run.scaler.update();
  run.expect_sound();
}

TYPED_TEST(Orders, GradientsThatGoAfterUnscaleLeaveNothingToStep) {
  Pair<TypeParam> run;
  set_gradient(run.first, {64.0, -64.0});
  run.scaler.unscale_(run.optimizer);
  clear(run.optimizer);
  EXPECT_TRUE(run.scaler.step(run.optimizer).stepped()) << "as in torch";
  EXPECT_THAT(values(run.first), AreExactly(Values{1.0, 2.0}));
  run.scaler.update();
  run.expect_sound();
}

TYPED_TEST(Orders, AnOverflowWhoseGradientWentStillCounts) {
  Pair<TypeParam> run;
  set_gradient(run.first, {kInf, 1.0});
  run.scaler.unscale_(run.optimizer);
  clear(run.optimizer);
  EXPECT_TRUE(run.scaler.step(run.optimizer).skipped());
  run.scaler.update();
  EXPECT_EQ(run.scaler.get_scale(), 4.0);
  run.expect_sound();
}

TYPED_TEST(Orders, OneOptimizersEmptyUnscaleDoesNotStopTheOther) {
  Pair<TypeParam> one, other;
  one.scaler.unscale_(other.optimizer);
  set_gradient(one.first, {64.0, -64.0});
  EXPECT_TRUE(one.scaler.step(one.optimizer).stepped());
  one.scaler.update();
  set_gradient(other.first, {64.0, 64.0});
  EXPECT_TRUE(one.scaler.step(other.optimizer).stepped());
  EXPECT_THAT(values(other.first), AreExactly(Values{0.0, 1.0}));
  one.scaler.update();
  one.expect_sound();
}

TYPED_TEST(Orders, LoadingAStateAfterUnscaleEndsTheIteration) {
  Pair<TypeParam> run;
  const auto state = run.scaler.state_dict();
  for (const bool with_gradient : {false, true}) {
    if (with_gradient) set_gradient(run.first, {64.0, 64.0});
    run.scaler.unscale_(run.optimizer);
    run.scaler.load_state_dict(state);
    run.expect_sound();
    clear(run.optimizer);
  }
}

// Gradients whose elements share memory, or that inference mode made, cannot be written where they
// are: they are divided all the same, and all others once.
TYPED_TEST(Orders, GradientsThatCannotBeWrittenAreDividedOnce) {
  for (const bool unscale_first : {false, true}) {
    Pair<TypeParam> run;
    set_gradient(run.second, {64.0});
    run.first.mutable_grad() = at::full({1}, 64.0).expand({2});
    if (unscale_first) run.scaler.unscale_(run.optimizer);
    EXPECT_TRUE(run.scaler.step(run.optimizer).stepped());
    EXPECT_THAT(values(run.first.grad()), AreExactly(Values{8.0, 8.0}));
    EXPECT_THAT(values(run.first), AreExactly(Values{0.0, 1.0}));
    EXPECT_THAT(values(run.second), AreExactly(Values{3.0}));
    run.scaler.update();
    run.expect_sound();
  }
}

// Throws as often as it is told to, then is what it derives from.
class ThrowingSgd : public torch::optim::SGD {
 public:
  using SGD::SGD;
  at::Tensor step(LossClosure closure = nullptr) override {
    if (failures > 0) {
      --failures;
      throw std::runtime_error("out of memory");
    }
    return SGD::step(std::move(closure));
  }
  int failures = 1;
};

class ThrowingScaledStep : public ThrowingSgd, public optim::ScaledStep {
 public:
  using ThrowingSgd::ThrowingSgd;
  bool takes_scaled_gradients() const override { return true; }
  void scaled_step(const at::Tensor& inv_scale, const at::Tensor&) override {
    if (failures-- > 0) throw std::runtime_error("out of memory");
    for (auto& parameter : param_groups().at(0).params()) parameter.mutable_grad().mul_(inv_scale);
    SGD::step();
  }
};

template <typename Optimizer>
class Throwing : public testing::Test {};
using ThrowingKinds = testing::Types<ThrowingSgd, ThrowingScaledStep>;
TYPED_TEST_SUITE(Throwing, ThrowingKinds);

template <typename Optimizer>
struct Failed {
  at::Tensor weight = parameter({1.0, 2.0});
  Optimizer optimizer{std::vector<at::Tensor>{weight}, torch::optim::SGDOptions(0.125)};
  GradScaler scaler{{.init_scale = 8.0}};
  Failed() {
    scaler.scale(at::zeros({}));
    set_gradient(weight, {64.0, -64.0});
    EXPECT_THROW(scaler.step(optimizer), std::runtime_error);
  }
  void expect_step() {
    EXPECT_TRUE(scaler.step(optimizer).stepped());
    EXPECT_THAT(values(weight), AreExactly(Values{0.0, 3.0}));
    scaler.update();
    EXPECT_EQ(scaler.state_dict().growth_tracker, 1);
  }
};

TYPED_TEST(Throwing, TheStepCanBeTakenAgain) { Failed<TypeParam>().expect_step(); }

TYPED_TEST(Throwing, UpdateEndsTheIterationAndTheNextIsSound) {
  Failed<TypeParam> run;
  run.scaler.update();
  run.scaler.load_state_dict(GradScaler({.init_scale = 16.0}).state_dict());
  clear(run.optimizer);
  run.scaler.scale(at::zeros({}));
  set_gradient(run.weight, {128.0, -128.0});
  run.expect_step();
}

// The batch is given up, but nobody called update(): the fresh gradients are scaled.
TYPED_TEST(Throwing, FreshGradientsAreNotTakenForUnscaledOnes) {
  Failed<TypeParam> run;
  clear(run.optimizer);
  run.scaler.scale(run.weight.sum()).backward();
  try {
    run.scaler.step(run.optimizer);
    EXPECT_THAT(values(run.weight), AreExactly(Values{0.875, 1.875}));
  } catch (const StateError& error) {
    EXPECT_THAT(error.what(), HasSubstr("update()"));
    EXPECT_THAT(values(run.weight), AreExactly(Values{1.0, 2.0}));
  }
  run.scaler.update();
  EXPECT_NO_THROW(run.scaler.state_dict());
}

TEST(GradScaler, AfterAFailedScaledStepUnscaleDividesWhatWasNot) {
  Failed<ThrowingScaledStep> run;
  run.scaler.unscale_(run.optimizer);
  EXPECT_THAT(values(run.weight.grad()), AreExactly(Values{8.0, -8.0}));
  run.expect_step();
}

// A stock step that threw may have changed weights; C++ LibTorch's SGD leaves their versions.
TEST(GradScaler, AFailedStepMakesItsWeightsKnownAsChanged) {
  Failed<ThrowingSgd> run;
  const auto version = run.weight._version();
  run.optimizer.failures = 1;
  EXPECT_THROW(run.scaler.step(run.optimizer), std::runtime_error);
  EXPECT_GT(run.weight._version(), version);
}

}  // namespace
}  // namespace amp::tests::orders_test
