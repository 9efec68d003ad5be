// Programs in which low-precision and fp32 tensors meet, as people write them: what runs under torch's list
// runs under `fast`.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/adaptive.h>

#include <functional>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::mixed_dtypes_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const OpPolicy kFast = OpPolicy::fast(kHere);

// Multiples of 1/8 that no dtype rounds.
at::Tensor grid(at::IntArrayRef shape) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  return ((here::arange(count, at::kFloat) * 7).remainder(16) - 5).div(8).reshape(shape);
}

// Rows of an embedding: bf16 under `fast`, fp32 under torch's list.
at::Tensor rows(const at::Tensor& table) {
  return at::embedding(table, here::arange(table.size(0)));
}

TEST(MixedDtypes, AnEmbeddingsRowsGoIntoAnFp32Buffer) {
  const auto table = grid({4, 6}).requires_grad_();
  const auto index = at::tensor({2, 0, 2, 1}, at::kLong).to(test_device());
  const auto wanted = here::zeros({3, 6}).index_add(0, index, grid({4, 6}));
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto low = rows(table);
  ASSERT_EQ(low.scalar_type(), at::kBFloat16);
  auto buffer = here::zeros({3, 6});
  buffer.index_put_({index}, low, /*accumulate=*/true);
  EXPECT_TRUE(buffer.equal(wanted));
  EXPECT_EQ(buffer.scalar_type(), at::kFloat);
  auto added = here::zeros({3, 6});
  added.index_add_(0, index, low);
  EXPECT_TRUE(added.equal(wanted));
  EXPECT_TRUE(here::zeros({3, 6}).index_add(0, index, low).equal(wanted));
  const auto spread = index.unsqueeze(1).expand({4, 6});
  EXPECT_TRUE(here::zeros({3, 6}).scatter_add(0, spread, low).equal(wanted));
  buffer.sum().backward();
  EXPECT_TRUE(table.grad().equal(here::ones({4, 6})));
}

// In bf16 a sum of ones stops at 256.
TEST(MixedDtypes, LowPrecisionBuffersAddUpInFp32) {
  for (const auto& policy : {kFast, OpPolicy::unified()}) {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = policy});
    const auto index = here::zeros({512}, at::kLong);
    const auto ones = here::ones({512}, at::kBFloat16);
    auto buffer = here::zeros({1}, at::kBFloat16);
    const auto* same = buffer.data_ptr();
    buffer.index_put_({index}, ones, /*accumulate=*/true);
    EXPECT_EQ(buffer.item<float>(), 512);
    EXPECT_EQ(buffer.scalar_type(), at::kBFloat16);
    EXPECT_EQ(buffer.data_ptr(), same);
    EXPECT_EQ(here::zeros({1}, at::kBFloat16).scatter_add_(0, index, ones).item<float>(), 512);
    EXPECT_EQ(here::zeros({1}, at::kBFloat16).index_add(0, index, ones).item<float>(), 512);
  }
}

TEST(MixedDtypes, ATensorThatIsWrittenStaysTheOneItWas) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto table = grid({4, 6}).requires_grad_();
  const auto low = rows(table);
  const auto fp32 = grid({2, 6}).requires_grad_();
  const auto index = at::tensor({3, 1}, at::kLong).to(test_device());
  auto written = low.clone();
  const auto result = written.index_copy_(0, index, fp32);
  EXPECT_TRUE(result.is_same(written));
  EXPECT_EQ(written.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(written[3].to(at::kFloat).equal(fp32[0]));
  written.sum().backward();
  EXPECT_TRUE(fp32.grad().equal(here::ones({2, 6})));
  EXPECT_EQ(table.grad().sum().item<float>(), 12);  // two of four rows were overwritten
}

TEST(MixedDtypes, ProductsOfVectorsTakeBoth) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto low = rows(grid({1, 6}))[0], fp32 = grid({6});
  const auto square = (fp32 * fp32).sum().item<float>();
  EXPECT_EQ(at::dot(low, fp32).item<float>(), square);
  EXPECT_EQ(at::vdot(fp32, low).item<float>(), square);
  EXPECT_EQ(at::mv(fp32.unsqueeze(0), low).item<float>(), square);
  EXPECT_EQ(at::inner(low, fp32).item<float>(), square);
  EXPECT_EQ(at::addmv(here::zeros({1}), low.unsqueeze(0), fp32).item<float>(), square);
  EXPECT_NO_THROW(at::lerp(low, fp32, 0.5));
  EXPECT_NO_THROW(at::tensordot(low, fp32, {0}, {0}));
  EXPECT_NO_THROW(at::cross(low.slice(0, 0, 3), fp32.slice(0, 0, 3)));
}

// torch's list has no rule for dot, and keeps its error.
TEST(MixedDtypes, ASpectralNormWrittenWithMatmulRuns) {
  const auto weight = grid({5, 6}), u = grid({5}), v = grid({6});
  const auto norm = [&] { return at::dot(u, at::matmul(weight, v)); };
  const auto want = at::dot(u.to(at::kDouble), at::mv(weight.to(at::kDouble), v.to(at::kDouble)));
  {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::torch(at::kCPU)});
    EXPECT_THROW(norm(), c10::Error);
  }
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  EXPECT_NEAR(norm().item<double>(), want.item<double>(), std::abs(want.item<double>()) / 128);
}

TEST(MixedDtypes, AnAdaptiveSoftmaxTrains) {
  at::manual_seed(3);
  torch::nn::AdaptiveLogSoftmaxWithLoss model(
      torch::nn::AdaptiveLogSoftmaxWithLossOptions(32, 20, {4, 10}));
  model->to(test_device());
  const auto input = here::randn({12, 32}).requires_grad_();
  const auto target = (here::arange(12) * 7).remainder(20);
  const auto exact =
      std::dynamic_pointer_cast<torch::nn::AdaptiveLogSoftmaxWithLossImpl>(model->clone());
  exact->to(at::kDouble);
  const auto want = -exact->forward(input.detach().to(at::kDouble), target).output.mean();
  want.backward();
  at::Tensor loss;
  {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
    loss = -model->forward(input, target).output.mean();
  }
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), want.item<double>(), 0.02);
  for (std::size_t i = 0; i < model->parameters().size(); ++i) {
    const auto got = model->parameters()[i].grad().to(at::kDouble),
               g = exact->parameters()[i].grad();
    EXPECT_LT((got - g).norm().item<double>(), 0.03 * g.norm().item<double>()) << i;
  }
}

// What torch's list copies to fp32 it does not depend on afterwards; nor does `fast`.
TEST(MixedDtypes, LogitsThatChangeAfterTheLossDoNoHarm) {
  const std::vector<std::pair<std::string, std::function<void(at::Tensor&)>>> changes = {
      {"in place", [](at::Tensor& x) { x.mul_(0); }},
      {"through .data()", [](at::Tensor& x) { x.variable_data().fill_(9); }},
      {"through a pointer", [](at::Tensor& x) { x.data_ptr<at::BFloat16>()[0] = 40; }},
      {"through a view", [](at::Tensor& x) { x.detach().select(0, 1).fill_(-3); }},
      {"through a slice that is seen", [](at::Tensor& x) { x.slice(1, 0, 2).zero_(); }}};
  const auto target = here::arange(6);
  for (const auto& [name, change] : changes) {
    if (!on_cpu() && name == "through a pointer") continue;
    SCOPED_TRACE(name);
    for (const double smoothing : {0.0, 0.1}) {
      const auto leaf = grid({6, 7}).requires_grad_();
      const auto exact = grid({6, 7}).to(at::kDouble).requires_grad_();
      at::Tensor loss, logits;
      {
        const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
        logits = leaf.to(at::kBFloat16);
        loss = at::cross_entropy_loss(logits, target, {}, at::Reduction::Mean, -100, smoothing);
        change(logits);
      }
      at::cross_entropy_loss(exact, target, {}, at::Reduction::Mean, -100, smoothing).backward();
      loss.backward();
      EXPECT_LT((leaf.grad().to(at::kDouble) - exact.grad()).abs().max().item<double>(), 1e-3);
    }
  }
}

TEST(MixedDtypes, LogitsThatNobodyChangesAreNotCopied) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto logits = grid({6, 7}).requires_grad_().to(at::kBFloat16);
  const auto* memory = logits.const_data_ptr();
  const auto loss = at::cross_entropy_loss(logits, here::arange(6));
  const auto guesses = logits.argmax(1);
  loss.backward();
  EXPECT_EQ(logits.const_data_ptr(), memory);
}

TEST(MixedDtypes, ASecondDerivativeIsThatOfTheLogitsAsTheyWere) {
  const auto target = here::arange(6);
  const auto second = [&](at::Tensor leaf, bool change) {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
    auto logits = leaf.scalar_type() == at::kDouble ? leaf * 1 : leaf.to(at::kBFloat16);
    const auto loss = at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum);
    if (change) logits.mul_(0);
    const auto first = torch::autograd::grad({loss}, {leaf}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {leaf})[0].to(at::kDouble);
  };
  const auto want = second(grid({6, 7}).to(at::kDouble).requires_grad_(), false);
  const auto got = second(grid({6, 7}).requires_grad_(), true);
  EXPECT_LT((got - want).abs().max().item<double>(), 0.01 * want.abs().max().item<double>() + 0.01);
}

TEST(MixedDtypes, RunningStatisticsInLowPrecisionAreUpdated) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto low = grid({8, 4}).to(at::kBFloat16);
  auto mean = here::zeros({4}, at::kBFloat16), variance = here::ones({4}, at::kBFloat16);
  at::batch_norm(low, {}, {}, mean, variance, true, 1.0, 1e-5, false);
  EXPECT_TRUE(mean.equal(grid({8, 4}).mean(0).to(at::kBFloat16)));
}

TEST(MixedDtypes, WhatAnOpWritesKeepsItsDtype) {
  auto policy = kFast;
  EXPECT_EQ(policy.rule("index_add_"), CastRule::fp32_inside);
  EXPECT_EQ(policy.rule("index_copy_"), CastRule::promote);
  EXPECT_THAT(
      [&] { policy.set("index_add_", CastRule::lower_precision); },
      ThrowsMessage<InvalidArgument>(HasSubstr("index_add_ cannot follow lower_precision")));
  policy.set("index_add_", CastRule::keep);
  EXPECT_TRUE(OpPolicy::from_json(policy.to_json()) == policy);
  EXPECT_EQ(OpPolicy::torch(at::kCPU).rule("index_add_"), CastRule::keep);
  EXPECT_EQ(OpPolicy::torch(at::kCUDA).rule("scatter_add"), CastRule::promote);
}

}  // namespace
}  // namespace amp::tests::mixed_dtypes_test
