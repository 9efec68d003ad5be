// Speech's ops under autocast: CTC's loss, which has no low-precision kernel, and recurrent cells.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/rnn.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "amp/cast_log.h"

namespace amp::tests::recurrent_test {
namespace {

struct Speech {
  at::Tensor log_probabilities, labels;  // [time, batch, labels], [batch, longest]
};

Speech speech(c10::ScalarType dtype) {
  at::manual_seed(5);
  return {at::log_softmax(at::randn({7, 2, 4}), 2).to(dtype),
          at::tensor({1, 2, 3, 1, 1, 0}, at::kLong).view({2, 3})};
}

at::Tensor ctc(const Speech& given, bool lengths_are_tensors) {
  const std::vector<std::int64_t> lengths = {7, 6}, label_lengths = {3, 2};
  if (!lengths_are_tensors)
    return at::ctc_loss(given.log_probabilities, given.labels, lengths, label_lengths);
  return at::ctc_loss(given.log_probabilities, given.labels, at::tensor(lengths, at::kLong),
                      at::tensor(label_lengths, at::kLong));
}

const std::vector<OpPolicy>& cpu_policies() {
  static const std::vector<OpPolicy> policies = {OpPolicy::torch(at::kCPU),
                                                 OpPolicy::fast(at::kCPU), OpPolicy::unified()};
  return policies;
}

TEST(CtcLoss, HasNoLowPrecisionKernel) {
  for (const auto dtype : {at::kHalf, at::kBFloat16})
    EXPECT_THROW(ctc(speech(dtype), false), c10::Error) << dtype << ": a kernel is there; use it";
}

TEST(CtcLoss, RunsInFp32UnderEveryPolicy) {
  for (const auto& policy : cpu_policies()) {
    for (const auto dtype : {at::kHalf, at::kBFloat16}) {
      for (const bool tensors : {false, true}) {
        const auto low = speech(dtype);
        const auto expected = ctc({low.log_probabilities.to(at::kFloat), low.labels}, tensors);
        const Autocast autocast(at::kCPU, dtype, {.policy = policy});
        const auto loss = ctc(low, tensors);
        EXPECT_EQ(loss.scalar_type(), at::kFloat) << policy.name();
        EXPECT_TRUE(at::equal(loss, expected)) << policy.name();
      }
    }
  }
}

TEST(CtcLoss, IsNotedWithItsRule) {
  const CastLog log;
  {
    const Autocast autocast(at::kCPU, at::kBFloat16);
    ctc(speech(at::kBFloat16), false);
  }
  const auto counts = log.counts();
  const auto found = std::ranges::find(counts, "ctc_loss.IntList", &CastCount::op);
  ASSERT_NE(found, counts.end());
  EXPECT_EQ(found->rule, CastRule::fp32);
  EXPECT_EQ(found->casts, 1);
}

TEST(CtcLoss, ItsGradientComesBackInTheDtypeOfItsInput) {
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    auto given = speech(dtype);
    given.log_probabilities.requires_grad_();
    at::Tensor loss;
    {
      const Autocast autocast(at::kCPU, dtype);
      loss = ctc(given, false);
    }
    loss.backward();
    const auto& gradient = given.log_probabilities.grad();
    EXPECT_EQ(gradient.scalar_type(), dtype);
    EXPECT_GT(gradient.abs().sum().item<double>(), 0);
  }
}

struct Cell {
  std::string name;
  std::function<at::Tensor(const at::Tensor&)> forward;
};

// Input and weights are fp32, as a model's are; each fresh from the same numbers.
std::vector<Cell> cells() {
  at::manual_seed(6);
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(5, 8).batch_first(true));
  torch::nn::LSTM both(torch::nn::LSTMOptions(5, 8).batch_first(true).bidirectional(true));
  torch::nn::GRU gru(torch::nn::GRUOptions(5, 8).batch_first(true));
  torch::nn::RNN rnn(torch::nn::RNNOptions(5, 8).batch_first(true));
  return {{"lstm", [lstm](auto& x) mutable { return std::get<0>(lstm(x)); }},
          {"bidirectional lstm", [both](auto& x) mutable { return std::get<0>(both(x)); }},
          {"gru", [gru](auto& x) mutable { return std::get<0>(gru(x)); }},
          {"rnn", [rnn](auto& x) mutable { return std::get<0>(rnn(x)); }}};
}

TEST(RecurrentCells, ComputeInLowPrecisionNearFp32) {
  const auto input = at::randn({3, 6, 5});
  for (auto& cell : cells()) {
    const auto wide = cell.forward(input);
    for (const auto& policy : cpu_policies()) {
      for (const auto dtype : {at::kHalf, at::kBFloat16}) {
        const Autocast autocast(at::kCPU, dtype, {.policy = policy});
        const auto low = cell.forward(input);
        const double tolerance =
            dtype == at::kHalf ? 4e-3 : 3e-2;  // some roundings of values below 1
        EXPECT_LT((low.to(at::kFloat) - wide).abs().max().item<double>(), tolerance)
            << cell.name << ' ' << policy.name() << ' ' << dtype;
        EXPECT_FALSE(at::equal(low.to(at::kFloat), wide)) << cell.name << ": nothing was rounded";
      }
    }
  }
}

TEST(RecurrentCells, TrainInLowPrecision) {
  for (auto& cell : cells()) {
    for (const auto dtype : {at::kHalf, at::kBFloat16}) {
      const auto input = at::randn({3, 6, 5}).requires_grad_();
      at::Tensor loss;
      {
        const Autocast autocast(at::kCPU, dtype, {.policy = OpPolicy::fast(at::kCPU)});
        loss = cell.forward(input).to(at::kFloat).square().sum();
      }
      loss.backward();
      EXPECT_EQ(input.grad().scalar_type(), at::kFloat) << cell.name;
      EXPECT_TRUE(input.grad().isfinite().all().item<bool>()) << cell.name;
      EXPECT_GT(input.grad().abs().sum().item<double>(), 0) << cell.name;
    }
  }
}

}  // namespace
}  // namespace amp::tests::recurrent_test
