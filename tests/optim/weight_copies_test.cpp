// The copies of weights that a step writes and the next forward pass computes with.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/utils/convert_parameters.h>
#include <torch/optim/sgd.h>

#include <cstdlib>
#include <functional>
#include <memory>

#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "amp/error.h"
#include "amp/grad_scaler.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "amp/weight_checks.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"

namespace amp::tests::weight_copies_test {
namespace {

// Read by the library when it first finds a copy.
const int checks = setenv("AMP_CHECK_COPIES", "1", 1);

at::Tensor weight(std::int64_t rows = 4) {
  return (here::arange(rows * 4, at::kFloat) / 7).reshape({rows, 4}).clone().requires_grad_();
}

optim::SGD sgd_of(const at::Tensor& w) { return optim::SGD({w}, {.lr = 0.125}); }

// A forward pass in bf16: x w for x = 1.
at::Tensor product(const at::Tensor& w) {
  const Autocast autocast(kHere, at::kBFloat16);
  return at::mm(here::ones({1, w.size(0)}, at::kBFloat16), w);
}

at::Tensor product_by_cast(const at::Tensor& w) {
  return at::mm(here::ones({1, w.size(0)}, at::kBFloat16), w.detach().to(at::kBFloat16));
}

void step_once(torch::optim::Optimizer& optimizer, const at::Tensor& w) {
  w.mutable_grad() = at::full_like(w.detach(), 0.37);
  optimizer.step();
}

// How many tensors a forward pass had to cast.
std::int64_t casts_of(const std::function<void()>& forward) {
  const CastLog log;
  forward();
  std::int64_t casts = 0;
  for (const auto& count : log.counts()) casts += count.casts;
  return casts;
}

TEST(WeightCopies, TheForwardPassAfterAStepCastsNoWeight) {
  auto w = weight();
  auto optimizer = sgd_of(w);
  EXPECT_EQ(casts_of([&] { product(w); }), 1) << "the first of all";
  EXPECT_EQ(casts_of([&] { product(w); }), 0) << "the next region has it, too";
  step_once(optimizer, w);
  EXPECT_EQ(casts_of([&] { product(w); }), 0) << "written by the step";
  EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
  {
    const Autocast half(kHere, at::kHalf);
    EXPECT_EQ(at::mm(here::ones({1, 4}, at::kHalf), w).scalar_type(), at::kHalf);
  }
  step_once(optimizer, w);
  EXPECT_EQ(casts_of([&] { product(w); }), 1) << "the last one that was asked for is written";
}

TEST(WeightCopies, AWeightOfAStockOptimizerIsCastInEachRegion) {
  auto w = weight();
  torch::optim::SGD optimizer({w}, torch::optim::SGDOptions(0.1));
  product(w);
  EXPECT_EQ(casts_of([&] { product(w); }), 1);
}

TEST(WeightCopies, ArePartOfTheirOptimizersLife) {
  auto w = weight();
  {
    auto optimizer = sgd_of(w);
    product(w);
    EXPECT_EQ(casts_of([&] { product(w); }), 0);
  }
  product(w);
  EXPECT_EQ(casts_of([&] { product(w); }), 1);
}

// Everything that changes a weight without its optimizer, most of it without a new version.
TEST(WeightCopies, AChangeBehindTheOptimizersBackIsSeen) {
  struct Module : torch::nn::Module {
    explicit Module(at::Tensor w) { register_parameter("w", std::move(w)); }
  };
  struct Change {
    const char* name;
    std::function<void(at::Tensor&)> make;
    bool leaves_traces = true;  // a new version or new memory; otherwise elements are looked at
  };
  const std::vector<Change> changes = {
      {"under no_grad",
       [](at::Tensor& w) {
         const c10::NoGradGuard no_grad;
         w.fill_(4);
       }},
      {".data()", [](at::Tensor& w) { w.data().fill_(4); }, false},
      {"set_data", [](at::Tensor& w) { w.set_data(at::full_like(w.detach(), 4)); }},
      {"a pointer",
       [](at::Tensor& w) {
         const auto fours = here::full({w.numel()}, 4);
         at::from_blob(w.data_ptr(), w.sizes(), fours.options()).copy_(fours.view_as(w));
       },
       false},
      {"a stock optimizer",
       [](at::Tensor& w) {
         torch::optim::SGD stock({w}, torch::optim::SGDOptions(1.0));
         step_once(stock, w);
       },
       false},
      {"vector_to_parameters",
       [](at::Tensor& w) {
         torch::nn::utils::vector_to_parameters(here::full({w.numel()}, 4), {w});
       }},
      {"Module::to",
       [](at::Tensor& w) {
         Module module(w);
         module.to(at::kBFloat16);
         module.to(at::kFloat);
       }},
  };
  for (const auto& [name, change, leaves_traces] : changes) {
    SCOPED_TRACE(name);
    auto w = weight();
    auto optimizer = sgd_of(w);
    product(w);
    step_once(optimizer, w);
    product(w);
    change(w);
    if (!leaves_traces && !on_cpu()) {  // to look at a device's elements would be to wait
      EXPECT_THROW(product(w), StateError) << "for AMP_CHECK_COPIES";
      invalidate(w);
    }
    EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
    step_once(optimizer, w);
    EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
    EXPECT_EQ(casts_of([&] { product(w); }), 0) << "and the copies go on";
  }
}

// A moving average that writes a few elements through data(): under `trusting` none of them is looked at.
TEST(WeightCopies, AMissedWriteIsAnErrorWhenChecked_AndInvalidateIsTheCure) {
  auto w = weight(64);
  auto optimizer = sgd_of(w);
  product(w);
  step_once(optimizer, w);
  w.data()[0][1] += 64;
  set_weight_checks(WeightChecks::trusting);
  EXPECT_THAT([&] { product(w); }, testing::ThrowsMessage<StateError>(testing::AllOf(
                                       testing::HasSubstr("of shape [64, 4]"),
                                       testing::HasSubstr("call amp::invalidate(weight)"))));
  invalidate(w);
  EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
  set_weight_checks(WeightChecks::whole);
}

// Between the forward and the backward pass of one loss the weight is stepped for another, as in a
// GAN: the first graph goes on with what it computed with.
TEST(WeightCopies, ACopyThatAGraphHoldsIsNotOverwritten) {
  auto w = weight();
  auto optimizer = sgd_of(w);
  product(w);
  step_once(optimizer, w);
  const auto before = w.detach().clone();
  const auto x = here::ones({1, 4}, at::kBFloat16).requires_grad_();
  at::Tensor y;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    y = at::mm(x, w);
  }
  step_once(optimizer, w);
  y.sum().backward();
  EXPECT_THAT(x.grad(), IsIdenticalTo(before.to(at::kBFloat16).sum(1).reshape({1, 4})));
  EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
  EXPECT_EQ(casts_of([&] { product(w); }), 0) << "the step wrote a new copy";
}

TEST(WeightCopies, ASkippedStepKeepsThem) {
  auto w = weight();
  auto optimizer = sgd_of(w);
  GradScaler scaler({.init_scale = 8});
  product(w);
  const auto iterate = [&](double gradient) {
    optimizer.zero_grad();
    scaler.scale((w * gradient).sum()).backward();
    const auto result = scaler.step(optimizer);
    scaler.update();
    return result.stepped();
  };
  EXPECT_TRUE(iterate(0.5));
  EXPECT_EQ(casts_of([&] { product(w); }), 0);
  EXPECT_FALSE(iterate(INFINITY));
  EXPECT_EQ(casts_of([&] { product(w); }), 0);
  EXPECT_THAT(product(w), IsIdenticalTo(product_by_cast(w)));
}

struct Trained {
  Values losses, weights;
};

Trained trained(const Recipe& recipe, bool copies) {
  MlpImpl model;
  optim::AdamW optimizer(model.parameters(), {.lr = 0.01});
  GradScaler scaler({.init_scale = 256, .enabled = recipe.loss_scaling != LossScaling::none});
  Trained result;
  for (int i = 0; i < 20; ++i) {
    optimizer.zero_grad();
    at::Tensor loss;
    {
      const Autocast autocast(kHere, recipe.compute_dtype, {.cache_enabled = copies});
      loss = loss_of(model, batch(i));
    }
    scaler.scale(loss).backward();
    scaler.step(optimizer);
    if (scaler.is_enabled()) scaler.update();
    result.losses.push_back(loss.item<double>());
  }
  result.weights = weights_of(model);
  return result;
}

TEST(WeightCopies, TrainAsCastsDo_BitForBit) {
  for (const auto& recipe : {Recipe::bf16(), Recipe::fp16()}) {
    const auto with = trained(recipe, true), without = trained(recipe, false);
    EXPECT_THAT(with.losses, AreExactly(without.losses));
    EXPECT_THAT(with.weights, AreExactly(without.weights));
  }
}

// Decision 4: only where nobody looks, and a hook does.
TEST(WeightCopies, WhoSeesAGradientOfATrainStepSeesFp32) {
  MlpImpl model;
  optim::SGD optimizer(model.parameters(), {.lr = 0.01});
  const auto bias = model.second->bias;
  std::vector<c10::ScalarType> seen;
  bias.register_hook([&](const at::Tensor& gradient) { seen.push_back(gradient.scalar_type()); });
  {
    TrainStep train_step(model, optimizer, Recipe::bf16());
    train_step([&] { return loss_of(model, batch(0)); });
    EXPECT_FALSE(bias.grad().defined());
  }
  auto recipe = Recipe::bf16();
  recipe.accumulation = 2;
  {
    TrainStep train_step(model, optimizer, recipe);
    train_step([&] { return loss_of(model, batch(1)); });
    EXPECT_EQ(bias.grad().scalar_type(), at::kFloat) << "sums are fp32";
    train_step([&] { return loss_of(model, batch(2)); });
  }
  EXPECT_EQ(seen, (std::vector{at::kFloat, at::kFloat, at::kFloat}));
  at::Tensor loss;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    loss = loss_of(model, batch(3));
  }
  loss.backward();
  EXPECT_EQ(bias.grad().scalar_type(), at::kFloat) << "as before the TrainStep";
}

}  // namespace
}  // namespace amp::tests::weight_copies_test
