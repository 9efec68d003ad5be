// Whoever can see a gradient sees the dtype that torch gives it, and nothing adds up in less.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string>

#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::gradient_dtypes_test {
namespace {

// One weight of one element under an optimizer whose step is weight - gradient.
struct One {
  explicit One(const Recipe& recipe = Recipe::bf16()) : train_step(linear, optimizer, recipe) {}
  at::Tensor forward(double input = 1.0) {
    return linear->forward(at::full({1, 1}, input, linear->weight.options().requires_grad(false)))
        .to(at::kFloat)
        .sum();
  }
  double weight() const { return linear->weight.item<double>(); }

  static torch::nn::Linear zero() {
    torch::nn::Linear linear(torch::nn::LinearOptions(1, 1).bias(false));
    linear->to(test_device());
    linear->weight.data().zero_();
    return linear;
  }
  torch::nn::Linear linear = zero();
  optim::SGD optimizer{linear->parameters(), optim::SGDOptions{.lr = 1.0}};
  TrainStep train_step;
};

TEST(GradientDtypes, BackwardPassesOfTheLossFunctionAddUpInFp32) {
  One one;
  one.train_step([&] {
    for (int i = 0; i < 999; ++i) one.forward().backward();
    return one.forward();
  });
  EXPECT_EQ(one.weight(), -1000.0);
}

TEST(GradientDtypes, ABackwardPassAfterAnotherStepsAddsUpInFp32Too) {
  One one;
  for (int i = 0; i < 3; ++i) one.train_step([&] { return one.forward(0.0); });
  one.train_step([&] {
    for (int i = 0; i < 511; ++i) one.forward().backward();
    return one.forward();
  });
  EXPECT_EQ(one.weight(), -512.0);
}

TEST(GradientDtypes, AHookOnAWeightSeesFp32AndMayMask) {
  One one;
  c10::ScalarType seen{};
  one.linear->weight.register_hook([&](const at::Tensor& gradient) {
    seen = gradient.scalar_type();
    return gradient * at::full_like(gradient, 0.5, gradient.options().dtype(at::kFloat));
  });
  EXPECT_TRUE(one.train_step([&] { return one.forward(3.0); }).stepped());
  EXPECT_EQ(seen, at::kFloat);
  EXPECT_EQ(one.weight(), -1.5);
}

TEST(GradientDtypes, AutogradGradInTheLossFunctionGivesFp32) {
  One one;
  one.train_step([&] {
    const auto loss = one.forward(3.0);
    const auto gradient = torch::autograd::grad({loss}, {one.linear->weight}, {}, true)[0];
    EXPECT_EQ(gradient.scalar_type(), at::kFloat);
    EXPECT_EQ(gradient.item<double>(), 3.0);
    return loss;
  });
  EXPECT_EQ(one.weight(), -3.0);
}

TEST(GradientDtypes, ABackwardPassInTheLossFunctionLeavesAnFp32Gradient) {
  One one;
  one.train_step([&] {
    one.forward().backward();
    EXPECT_EQ(one.linear->weight.grad().scalar_type(), at::kFloat);
    one.linear->weight.mutable_grad().reset();
    return one.forward();
  });
  EXPECT_EQ(one.weight(), -1.0);
}

// A function that begins a backward pass of its own within the pass, as checkpointing does.
struct Recomputed : torch::autograd::Function<Recomputed> {
  static One* one;
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    const at::AutoGradMode on(true);
    for (int i = 0; i < 511; ++i) one->forward().backward();
    EXPECT_EQ(one->linear->weight.grad().scalar_type(), at::kFloat);
    return gradients;
  }
};
One* Recomputed::one = nullptr;

TEST(GradientDtypes, ABackwardPassWithinTheBackwardPassAddsUpInFp32) {
  One one;
  Recomputed::one = &one;
  one.train_step([&] { return Recomputed::apply(one.forward()); });
  EXPECT_EQ(one.weight(), -512.0);
}

TEST(GradientDtypes, AHookOnAnActivationSeesFp32GradientsOfWeights) {
  MlpImpl model;
  optim::SGD optimizer(model.parameters(), optim::SGDOptions{.lr = 0.125});
  TrainStep train_step(model, optimizer, Recipe::bf16());
  int seen = 0;
  train_step([&] {
    const auto hidden = at::relu(model.first(batch(0).inputs));
    hidden.register_hook([&](const at::Tensor&) {
      // The backward pass has come by the second layer.
      ASSERT_TRUE(model.second->bias.grad().defined());
      EXPECT_EQ(model.second->bias.grad().scalar_type(), at::kFloat);
      ++seen;
    });
    return model.second(hidden).to(at::kFloat).square().mean();
  });
  EXPECT_EQ(seen, 1);
}

TEST(GradientDtypes, NothingIsLeftOfATrainStepThatHasEnded) {
  for (const auto dtype : {at::kHalf, at::kDouble, at::kBFloat16, at::kFloat}) {
    MlpImpl model;
    optim::SGD optimizer(model.parameters(), optim::SGDOptions{.lr = 0.125});
    {
      TrainStep train_step(model, optimizer, Recipe::bf16());
      train_step([&] { return loss_of(model, batch(0)); });
    }
    model.to(dtype);
    model.second(at::ones({2, 8}, model.second->weight.options().requires_grad(false)))
        .sum()
        .backward();
    EXPECT_EQ(model.second->weight.grad().scalar_type(), dtype);
  }
}

TEST(GradientDtypes, BetweenTwoCallsAGradientIsAsInTorch) {
  One one;
  one.train_step([&] { return one.forward(); });
  {
    const Autocast region(test_device().type(), at::kBFloat16);
    for (int i = 0; i < 512; ++i) one.forward().backward();
  }
  EXPECT_THAT(one.linear->weight.grad(), IsIdenticalTo(tensor({512.0}).view({1, 1})));
}

TEST(GradientDtypes, AGradientDtypeOfTheUsersStays) {
  One one;
  if constexpr (requires(at::Tensor t) { t.set_grad_dtype(at::kFloat); }) {
    one.linear->weight.set_grad_dtype(at::kBFloat16);
    one.train_step([&] { return one.forward(); });
    EXPECT_EQ(one.linear->weight.grad_dtype(), at::kBFloat16);
    one.forward().backward();
    EXPECT_EQ(one.linear->weight.grad().scalar_type(), at::kBFloat16);
  }
}

TEST(GradientDtypes, AFailedCallLeavesNoLowPrecisionGradient) {
  One one;
  const auto fails = [](const at::Tensor&) -> at::Tensor { throw std::runtime_error("full"); };
  EXPECT_ANY_THROW(one.train_step([&] {
    const auto input = at::ones({1, 1}, one.linear->weight.options()).requires_grad_();
    input.register_hook(fails);
    return one.linear(input).to(at::kFloat).sum();
  }));
  EXPECT_FALSE(one.linear->weight.grad().defined());
  one.forward().backward();
  EXPECT_EQ(one.linear->weight.grad().scalar_type(), at::kFloat);
}

// Casts of bf16 to fp32 that the loss's backward pass makes.
int casts_in(const std::function<void()>& act) {
  static thread_local int casts = 0;
  casts = 0;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& function)
                                     -> std::unique_ptr<at::ObserverContext> {
        if (std::string(function.name()) == "aten::_to_copy") ++casts;
        return nullptr;
      }).scopes({at::RecordScope::FUNCTION}));
  act();
  at::removeCallback(handle);
  return casts;
}

TEST(GradientDtypes, WhereNobodyLooksGradientsAreNotCast) {
  if (!on_cpu()) GTEST_SKIP() << "the CUDA engine runs on another thread";
  const auto casts_of_a_step = [](bool somebody_looks) {
    MlpImpl model;
    optim::SGD optimizer(model.parameters(), optim::SGDOptions{.lr = 0.125});
    TrainStep train_step(model, optimizer, Recipe::bf16());
    if (somebody_looks) model.first->bias.register_hook([](const at::Tensor&) {});
    const auto step = [&] { train_step([&] { return loss_of(model, batch(0)); }); };
    step();
    return casts_in(step);
  };
  EXPECT_LE(casts_of_a_step(false) + 2, casts_of_a_step(true)) << "of two weights";
}

}  // namespace
}  // namespace amp::tests::gradient_dtypes_test
