// Formats emulated: operands and gradients on the grid, weights rounded once, other ops untouched.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cmath>

#include "amp/amp.h"

namespace emulation_test {
namespace {

using amp::Autocast;
using amp::Emulation;
using amp::Format;

amp::AutocastOptions emulating(Format forward, Format backward) {
  return {.emulate = Emulation{forward, backward}};
}

at::Tensor random(at::IntArrayRef sizes) { return at::randn(sizes, c10::kFloat); }

// By hand, as docs/precision.md has it: scaled by the tensor's own amax to 448 or 57344.
at::Tensor in_fp8(const at::Tensor& x, Format format) {
  const double largest = format == Format::e4m3 ? 448 : 57344;
  const auto dtype = format == Format::e4m3 ? c10::kFloat8_e4m3fn : c10::kFloat8_e5m2;
  auto scale = static_cast<float>(largest / x.abs().max().item<double>());
  if (double{scale} * x.abs().max().item<double>() > largest) scale = std::nextafter(scale, 0.0f);
  return (x * scale).to(dtype).to(c10::kFloat) * (1 / scale);
}

TEST(Emulation, ProductsTakeRoundedOperandsAndReturnFp32) {
  at::manual_seed(1);
  const auto x = random({8, 16}), w = random({4, 16}), bias = random({4});
  // The bias is not rounded.
  const auto expected = at::addmm(bias, in_fp8(x, Format::e4m3), in_fp8(w, Format::e4m3).t());
  const auto exact = at::addmm(bias, x, w.t());
  const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
  const auto found = at::linear(x, w, bias);
  EXPECT_EQ(found.scalar_type(), c10::kFloat);
  EXPECT_TRUE(at::allclose(found, expected, 1e-6, 1e-6));
  EXPECT_FALSE(at::allclose(found, exact, 1e-3, 1e-3));
}

TEST(Emulation, Bf16OperandsAreBf16Numbers) {
  at::manual_seed(2);
  const auto x = random({8, 16}), w = random({16, 4});
  const auto bf16 = [](const at::Tensor& t) { return t.to(c10::kBFloat16).to(c10::kFloat); };
  const auto expected = at::mm(bf16(x), bf16(w));
  const Autocast autocast(c10::kCPU, c10::kFloat, emulating(Format::bf16, Format::bf16));
  EXPECT_TRUE(at::equal(at::mm(x, w), expected));
}

// The backward products take e5m2 gradients and the rounded operands; their results are not rounded.
TEST(Emulation, BackwardProductsTakeRoundedGradients) {
  at::manual_seed(3);
  const auto x = random({8, 16}).requires_grad_(), w = random({16, 4}).requires_grad_();
  const auto gradient = random({8, 4}) * 1e-6;
  at::Tensor y;
  {
    const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
    y = at::mm(x, w);
  }
  y.backward(gradient);
  const auto g = in_fp8(gradient, Format::e5m2);
  const auto x8 = in_fp8(x.detach(), Format::e4m3), w8 = in_fp8(w.detach(), Format::e4m3);
  EXPECT_TRUE(at::allclose(x.grad(), at::mm(g, w8.t()), 1e-5, 1e-12));
  EXPECT_TRUE(at::allclose(w.grad(), at::mm(x8.t(), g), 1e-5, 1e-12));
  EXPECT_FALSE(at::allclose(w.grad(), at::mm(x8.t(), gradient), 1e-3, 1e-12));
}

TEST(Emulation, OtherOpsAreLeftInFp32) {
  const auto x = at::full({4, 4}, 1.07f);
  const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
  EXPECT_TRUE(at::equal(at::add(x, x), x * 2));
  EXPECT_TRUE(at::equal(at::relu(x), x));
  EXPECT_EQ(amp::autocast_dtype(c10::kCPU), c10::kFloat);
}

TEST(Emulation, AWeightIsRoundedOnceInARegion) {
  const auto w = random({16, 4}).requires_grad_(), x = random({8, 16});
  amp::CastLog log;
  {
    const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
    const auto first = at::mm(x, w), second = at::mm(x, w);
    EXPECT_TRUE(at::equal(first, second));
  }
  const auto counts = log.counts();
  ASSERT_FALSE(counts.empty());
  EXPECT_EQ(counts[0].op, "mm");
  EXPECT_EQ(counts[0].casts, 3);   // x twice, w once
  EXPECT_EQ(counts[0].served, 1);  // w
}

// Two formats and bf16 itself beside each other: none is served what another left.
TEST(Emulation, FormatsDoNotShareTheCache) {
  const auto w = random({16, 4}).requires_grad_(), x = random({8, 16});
  const Autocast outer(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
  const auto fp8 = at::mm(x, w);
  {
    const Autocast inner(c10::kCPU, {}, emulating(Format::bf16, Format::bf16));
    EXPECT_FALSE(at::equal(at::mm(x, w), fp8));
  }
  {
    const Autocast inner(c10::kCPU, c10::kBFloat16);
    EXPECT_EQ(at::mm(x, w).scalar_type(), c10::kBFloat16);
  }
  EXPECT_TRUE(at::equal(at::mm(x, w), fp8));
}

TEST(Emulation, AChangedWeightIsRoundedAgain) {
  const auto w = random({16, 4}).requires_grad_(), x = random({8, 16});
  const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
  const auto before = at::mm(x, w);
  w.data().mul_(-1);
  EXPECT_TRUE(at::equal(at::mm(x, w), -before));
}

TEST(Emulation, SecondDerivativesPass) {
  const auto x = random({4, 4}).requires_grad_(), w = random({4, 4}).requires_grad_();
  const Autocast autocast(c10::kCPU, {}, emulating(Format::e4m3, Format::e5m2));
  const auto y = at::mm(x, w).pow(2).sum();
  const auto first = torch::autograd::grad({y}, {x}, {}, {}, /*create_graph=*/true)[0];
  first.pow(2).sum().backward();
  EXPECT_TRUE(w.grad().defined());
  EXPECT_GT(w.grad().abs().max().item<double>(), 0);
}

TEST(Emulation, ADtypeBesideItIsRefused) {
  try {
    const Autocast autocast(c10::kCPU, c10::kBFloat16, emulating(Format::e4m3, Format::e5m2));
    FAIL() << "accepted";
  } catch (const amp::InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "Autocast: dtype must be Float to emulate a format, got BFloat16; leave it out");
  }
}

// A regression that fp32 learns: every emulated format learns it too.
double loss_after_training(const amp::Recipe& recipe) {
  torch::manual_seed(5);
  torch::nn::Sequential model(torch::nn::Linear(8, 32), torch::nn::ReLU(),
                              torch::nn::Linear(32, 1));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  amp::TrainStep train_step(*model, optimizer, recipe);
  const auto x = at::randn({256, 8}), y = x.slice(1, 0, 4).sum(1, true).tanh();
  double loss = 0;
  for (int step = 0; step < 600; ++step) {
    loss = train_step([&] { return at::mse_loss(model->forward(x), y); }).loss().item<double>();
  }
  return loss;
}

TEST(Emulation, ASmallModelTrains) {
  const double fp32 = loss_after_training(amp::Recipe::fp32());
  ASSERT_LT(fp32, 0.01);
  EXPECT_EQ(loss_after_training(amp::Recipe::emulated(Format::fp32)), fp32);
  for (const auto format : {Format::tf32, Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    const double loss = loss_after_training(amp::Recipe::emulated(format));
    const bool is_fp8 = amp::format_info(format).bytes == 1;
    RecordProperty(amp::format_name(format), std::to_string(loss));
    EXPECT_LT(loss, is_fp8 ? 0.05 : 0.01) << amp::format_name(format);
    EXPECT_NE(loss, fp32) << amp::format_name(format);
  }
}

}  // namespace
}  // namespace emulation_test
