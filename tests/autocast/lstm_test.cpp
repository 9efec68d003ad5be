// LSTM layers under the fast policy against LibTorch's own in double precision; embedding beside
// them, whose rows it rounds.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/rnn.h>

#include <string>
#include <vector>

#include "amp/autocast.h"
#include "tests/support/tensors.h"

namespace amp::tests::lstm_test {
namespace {

struct Shape {
  std::string name;
  std::int64_t layers = 1, projection = 0;
  bool bias = true, batch_first = true, bidirectional = false;
  std::int64_t batch = 3, time = 6, size = 5, hidden = 8;
};

torch::nn::LSTM made(const Shape& shape) {
  at::manual_seed(11);
  return torch::nn::LSTM(torch::nn::LSTMOptions(shape.size, shape.hidden)
                             .num_layers(shape.layers)
                             .proj_size(shape.projection)
                             .bias(shape.bias)
                             .bidirectional(shape.bidirectional)
                             .batch_first(shape.batch_first));
}

struct Operands {
  at::Tensor input, h0, c0;
  std::vector<at::Tensor> all() const { return {input, h0, c0}; }
};

// Every value is one of the low dtype, so that both runs see the same.
Operands operands(const Shape& shape, c10::ScalarType dtype, c10::ScalarType as) {
  at::manual_seed(12);
  const auto draw = [&](at::IntArrayRef sizes) {
    return at::randn(sizes).to(dtype).to(as).requires_grad_();
  };
  const auto directions = shape.layers * (shape.bidirectional ? 2 : 1);
  const auto output = shape.projection > 0 ? shape.projection : shape.hidden;
  const auto input = shape.batch_first ? draw({shape.batch, shape.time, shape.size})
                                       : draw({shape.time, shape.batch, shape.size});
  return {input, draw({directions, shape.batch, output}),
          draw({directions, shape.batch, shape.hidden})};
}

struct Results {
  std::vector<at::Tensor> outputs, gradients;
};

// Of the sum of all outputs, each times fixed numbers.
Results run(torch::nn::LSTM& lstm, const Operands& given, c10::ScalarType region) {
  Results results;
  {
    const Autocast autocast(at::kCPU, region,
                            {.enabled = region != at::kDouble, .policy = OpPolicy::fast(at::kCPU)});
    const auto [output, state] = lstm(given.input, std::tuple(given.h0, given.c0));
    results.outputs = {output, std::get<0>(state), std::get<1>(state)};
  }
  at::manual_seed(13);
  auto sum = at::zeros({}, at::kDouble);
  for (const auto& output : results.outputs)
    sum = sum + (output * at::randn(output.sizes()).to(output.scalar_type())).to(at::kDouble).sum();
  auto inputs = given.all();
  for (const auto& parameter : lstm->parameters()) inputs.push_back(parameter);
  results.gradients = torch::autograd::grad({sum}, inputs);
  return results;
}

// Rounds the weights to the low dtype, so that casting them loses nothing.
void round_weights(torch::nn::LSTM& lstm, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  for (auto& parameter : lstm->parameters()) parameter.copy_(parameter.to(dtype));
}

void expect_near(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& exact,
                 double tolerance, const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), exact[i].sizes()) << what << " " << i;
    const double largest = exact[i].abs().max().item<double>();
    const double error = (got[i].to(at::kDouble) - exact[i]).abs().max().item<double>();
    EXPECT_LE(error, tolerance * largest) << what << " " << i;
  }
}

// A handful of roundings: h_t of each step, then those of the gradients.
void expect_lstm(const Shape& shape, c10::ScalarType dtype, c10::ScalarType input_dtype) {
  SCOPED_TRACE(shape.name + " of " + c10::toString(input_dtype) + " in " + c10::toString(dtype));
  auto lstm = made(shape);
  round_weights(lstm, dtype);
  const auto ours = run(lstm, operands(shape, dtype, input_dtype), dtype);
  for (const auto& output : ours.outputs) EXPECT_EQ(output.scalar_type(), dtype);
  lstm->to(at::kDouble);
  const auto exact = run(lstm, operands(shape, dtype, at::kDouble), at::kDouble);
  const double unit = dtype == at::kHalf ? 0x1p-11 : 0x1p-8;
  expect_near(ours.outputs, exact.outputs, 4 * unit, "output");
  expect_near(ours.gradients, exact.gradients, 10 * unit, "gradient");
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {.name = "one layer"},
      {.name = "three layers", .layers = 3},
      {.name = "time first", .layers = 2, .batch_first = false},
      {.name = "without biases", .bias = false},
      {.name = "projected", .projection = 4},
      {.name = "projected, two layers, time first, no biases",
       .layers = 2,
       .projection = 3,
       .bias = false,
       .batch_first = false},
      {.name = "one step", .time = 1},
      {.name = "one sequence", .layers = 2, .batch = 1},
      {.name = "both directions", .layers = 2, .bidirectional = true},
      {.name = "both directions, projected, time first",
       .layers = 2,
       .projection = 3,
       .batch_first = false,
       .bidirectional = true},
  };
  return all;
}

TEST(FastLstm, AgreesWithDoublePrecision) {
  for (const auto& shape : shapes()) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      expect_lstm(shape, dtype, at::kFloat);
      expect_lstm(shape, dtype, dtype);
    }
  }
}

// Gates that saturate and long sums: nothing becomes NaN, and the cell is kept in fp32.
TEST(FastLstm, TheCellIsFp32) {
  const Shape shape = {.name = "counter", .batch = 1, .time = 600, .size = 1, .hidden = 1};
  auto lstm = made(shape);
  {
    const c10::NoGradGuard no_grad;
    for (auto& parameter : lstm->parameters()) parameter.zero_();
    // i = sigmoid(-7), about 1/1000; f and o = sigmoid(20) = 1; g = tanh(20) = 1.
    lstm->named_parameters()["bias_ih_l0"].copy_(at::tensor({-7.0F, 20.0F, 20.0F, 20.0F}));
  }
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  const auto state = std::get<1>(lstm(at::zeros({1, 600, 1})));
  // In bf16 the cell would stop at 0.25, where half its last place is more than i.
  EXPECT_NEAR(std::get<1>(state).item<double>(), 600 / (1 + std::exp(7)), 4e-3);
}

TEST(FastLstm, ItsGradientCanBeDifferentiatedAgain) {
  for (const std::int64_t projection : {0, 4}) {
    const Shape shape = {.name = "penalty", .layers = 2, .projection = projection};
    const auto penalty = [&](torch::nn::LSTM& lstm, c10::ScalarType as, c10::ScalarType region) {
      const auto given = operands(shape, at::kBFloat16, as);
      at::Tensor output;
      {
        const Autocast autocast(
            at::kCPU, region,
            {.enabled = region != at::kDouble, .policy = OpPolicy::fast(at::kCPU)});
        output = std::get<0>(lstm(given.input, std::tuple(given.h0, given.c0)));
      }
      const auto first = torch::autograd::grad({output.to(at::kDouble).square().sum()},
                                               {given.input}, {}, true, true)[0];
      auto inputs = given.all();
      for (const auto& parameter : lstm->parameters()) inputs.push_back(parameter);
      return torch::autograd::grad({first.to(at::kDouble).square().sum()}, inputs);
    };
    auto lstm = made(shape);
    round_weights(lstm, at::kBFloat16);
    const auto ours = penalty(lstm, at::kFloat, at::kBFloat16);
    lstm->to(at::kDouble);
    expect_near(ours, penalty(lstm, at::kDouble, at::kDouble), 20 * 0x1p-8, "second gradient");
  }
}

TEST(FastLstm, WithoutGradientsTheSameOutputs) {
  const Shape shape = {.name = "inference", .layers = 2};
  auto lstm = made(shape);
  const auto given = operands(shape, at::kBFloat16, at::kFloat);
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  const auto recorded = std::get<0>(lstm(given.input));
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(std::get<0>(lstm(given.input)).equal(recorded.detach()));
}

TEST(FastLstm, DropsOutBetweenLayersInTraining) {
  at::manual_seed(1);
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(5, 8).num_layers(2).dropout(0.5).batch_first(true));
  const auto input = at::randn({3, 6, 5});
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  const auto output = [&] { return std::get<0>(lstm(input)); };
  EXPECT_FALSE(output().equal(output()));
  lstm->eval();
  EXPECT_TRUE(output().equal(output()));
}

// The rule is the fast policy's; torch's list does not name the op.
TEST(FastLstm, IsOfTheFastPolicy) {
  EXPECT_EQ(OpPolicy::fast(at::kCPU).rule("lstm.input"), CastRule::lower_precision);
  EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule("lstm.input"), CastRule::keep);
  EXPECT_EQ(OpPolicy::torch(at::kCPU).rule("lstm.input"), CastRule::keep);
  EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule("embedding"), CastRule::lower_precision);
  EXPECT_EQ(OpPolicy::torch(at::kCPU).rule("embedding"), CastRule::keep);
}

TEST(FastEmbedding, RoundsTheRowsThatAreLookedUp) {
  at::manual_seed(2);
  const auto table = at::randn({7, 4}).requires_grad_();
  const auto tokens = at::tensor({3, 0, 3, 6}, at::kLong);
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const Autocast autocast(at::kCPU, dtype, {.policy = OpPolicy::fast(at::kCPU)});
    EXPECT_THAT(at::embedding(table, tokens),
                IsIdenticalTo(table.to(dtype).index_select(0, tokens)));
  }
  const Autocast autocast(at::kCPU, at::kBFloat16);
  EXPECT_EQ(at::embedding(table, tokens).scalar_type(), at::kFloat);
}

// 1000 times the same token with a gradient of 1: a sum in bf16 would stop at 256.
TEST(FastEmbedding, GradientsOfOneRowAddUpInFp32) {
  const auto table = at::ones({2, 3}).requires_grad_();
  at::Tensor rows;
  {
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
    rows = at::embedding(table, at::zeros({1000}, at::kLong));
  }
  rows.backward(at::ones_like(rows));
  EXPECT_EQ(table.grad().scalar_type(), at::kFloat);
  EXPECT_TRUE(table.grad()[0].eq(1000).all().item<bool>());
  EXPECT_TRUE(table.grad()[1].eq(0).all().item<bool>());
}

}  // namespace
}  // namespace amp::tests::lstm_test
