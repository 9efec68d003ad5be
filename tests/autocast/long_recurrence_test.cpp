// GRU, RNN and packed LSTM networks and their cells under the fast and unified policies, against LibTorch's own
// in double precision: random settings, and 1,024 steps.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/utils/rnn.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "amp/autocast.h"
#include "tests/support/tensors.h"

namespace amp::tests {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;
namespace packing = torch::nn::utils::rnn;

const std::vector<OpPolicy>& policies() {
  static const std::vector<OpPolicy> all = {OpPolicy::fast(at::kCPU), OpPolicy::unified()};
  return all;
}

double unit(c10::ScalarType dtype) { return dtype == at::kHalf ? 0x1p-11 : 0x1p-8; }

enum class Kind { gru, tanh, relu, lstm };

struct Setting {
  Kind kind = Kind::gru;
  std::int64_t layers = 1, projection = 0, size = 5, hidden = 8, batch = 3, time = 6;
  bool bias = true, bidirectional = false, batch_first = false, packed = false;

  std::int64_t output() const { return projection > 0 ? projection : hidden; }
  std::int64_t runs() const { return layers * (bidirectional ? 2 : 1); }
  std::string text() const {
    const char* names[] = {"gru", "tanh", "relu", "lstm"};
    return std::string(names[static_cast<int>(kind)]) + " of " + std::to_string(layers) + " x " +
           std::to_string(hidden) + ", batch " + std::to_string(batch) + ", time " +
           std::to_string(time) + (bidirectional ? ", both ways" : "") +
           (batch_first ? ", batch first" : "") + (packed ? ", packed" : "") +
           (bias ? "" : ", no bias") + (projection > 0 ? ", projected" : "");
  }
};

struct Operands {
  Tensor input, h0, c0, lengths;
};

// A module of LibTorch's, and how it is called: output, h_n and of an LSTM c_n.
struct Model {
  std::shared_ptr<torch::nn::Module> module;
  std::function<Tensors(const Operands&)> call;
};

// Padded output of a packed sequence.
Tensor padded(const packing::PackedSequence& sequence, bool batch_first, std::int64_t time) {
  return std::get<0>(packing::pad_packed_sequence(sequence, batch_first, 0, time));
}

template <typename Holder>
Model with_one_state(Holder holder, const Setting& setting) {
  return {holder.ptr(), [holder, setting](const Operands& given) mutable -> Tensors {
            if (!setting.packed) {
              const auto [output, h] = holder(given.input, given.h0);
              return {output, h};
            }
            const auto packed = packing::pack_padded_sequence(given.input, given.lengths,
                                                              setting.batch_first, false);
            const auto [output, h] = holder->forward_with_packed_input(packed, given.h0);
            return {padded(output, setting.batch_first, setting.time), h};
          }};
}

Model with_two_states(torch::nn::LSTM holder, const Setting& setting) {
  return {holder.ptr(), [holder, setting](const Operands& given) mutable -> Tensors {
            const auto first = std::tuple(given.h0, given.c0);
            if (!setting.packed) {
              const auto [output, state] = holder(given.input, first);
              return {output, std::get<0>(state), std::get<1>(state)};
            }
            const auto packed = packing::pack_padded_sequence(given.input, given.lengths,
                                                              setting.batch_first, false);
            const auto [output, state] = holder->forward_with_packed_input(packed, first);
            return {padded(output, setting.batch_first, setting.time), std::get<0>(state),
                    std::get<1>(state)};
          }};
}

Model made(const Setting& setting) {
  at::manual_seed(11);
  const auto options = [&](auto chosen) {
    return chosen.num_layers(setting.layers)
        .bias(setting.bias)
        .bidirectional(setting.bidirectional)
        .batch_first(setting.batch_first);
  };
  switch (setting.kind) {
    case Kind::gru:
      return with_one_state(
          torch::nn::GRU(options(torch::nn::GRUOptions(setting.size, setting.hidden))), setting);
    case Kind::lstm:
      return with_two_states(
          torch::nn::LSTM(options(torch::nn::LSTMOptions(setting.size, setting.hidden))
                              .proj_size(setting.projection)),
          setting);
    default: {
      auto chosen = options(torch::nn::RNNOptions(setting.size, setting.hidden));
      if (setting.kind == Kind::relu) chosen.nonlinearity(torch::kReLU);
      return with_one_state(torch::nn::RNN(chosen), setting);
    }
  }
}

// Every value is one of the low dtype, so that both runs see the same.
Operands operands(const Setting& setting, c10::ScalarType dtype, c10::ScalarType as) {
  at::manual_seed(12);
  const auto draw = [&](at::IntArrayRef sizes) {
    return at::randn(sizes).to(dtype).to(as).requires_grad_();
  };
  Operands given;
  given.input = setting.batch_first ? draw({setting.batch, setting.time, setting.size})
                                    : draw({setting.time, setting.batch, setting.size});
  given.h0 = draw({setting.runs(), setting.batch, setting.output()});
  given.c0 = draw({setting.runs(), setting.batch, setting.hidden});
  given.lengths = at::randint(1, setting.time + 1, {setting.batch}, at::kLong);
  given.lengths[setting.batch - 1] = setting.time;
  return given;
}

// Rounds the weights, so that casting them loses nothing.
void round_weights(const Model& model, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  for (auto& parameter : model.module->parameters()) parameter.copy_(parameter.to(dtype));
}

Tensor weighted_sum(const Tensors& outputs) {
  at::manual_seed(13);
  auto sum = at::zeros({}, at::kDouble);
  for (const auto& output : outputs)
    sum = sum + (output.to(at::kDouble) * at::randn(output.sizes(), at::kDouble)).sum();
  return sum;
}

struct Results {
  Tensors outputs, gradients;
};

Results run(const Model& model, const Operands& given, c10::ScalarType low,
            const std::optional<OpPolicy>& policy) {
  Results results;
  {
    const Autocast autocast(at::kCPU, low, {.enabled = policy.has_value(), .policy = policy});
    results.outputs = model.call(given);
  }
  Tensors inputs = {given.input, given.h0};
  if (results.outputs.size() == 3) inputs.push_back(given.c0);
  for (const auto& parameter : model.module->parameters()) inputs.push_back(parameter);
  results.gradients = torch::autograd::grad({weighted_sum(results.outputs)}, inputs);
  return results;
}

void expect_near(const Tensors& got, const Tensors& exact, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), exact[i].sizes()) << what << ' ' << i;
    const double largest = exact[i].abs().max().item<double>();
    const double error = (got[i].to(at::kDouble) - exact[i]).abs().max().item<double>();
    EXPECT_LE(error, tolerance * largest) << what << ' ' << i;
  }
}

Setting drawn(unsigned seed) {
  std::mt19937 engine(seed);
  const auto number = [&](std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(engine);
  };
  Setting setting;
  setting.kind = static_cast<Kind>(number(0, 3));
  setting.layers = number(1, 3);
  setting.size = number(1, 9);
  setting.hidden = number(2, 9);
  setting.batch = number(1, 5);
  setting.time = number(1, 12);
  setting.bias = number(0, 3) > 0;
  setting.bidirectional = number(0, 1) == 1;
  setting.batch_first = number(0, 1) == 1;
  setting.packed = number(0, 1) == 1;
  if (setting.kind == Kind::lstm && number(0, 1) == 1) setting.projection = setting.hidden - 1;
  return setting;
}

TEST(LongRecurrence, RandomSettingsNearDouble) {
  for (unsigned seed = 1; seed <= 80; ++seed) {
    const auto setting = drawn(seed);
    for (const auto low : {at::kBFloat16, at::kHalf}) {
      SCOPED_TRACE(setting.text() + ", seed " + std::to_string(seed) + ", " + c10::toString(low));
      const auto model = made(setting);
      round_weights(model, low);
      std::vector<Results> got;
      for (const auto& policy : policies())
        got.push_back(
            run(model, operands(setting, low, seed % 2 == 0 ? at::kFloat : low), low, policy));
      model.module->to(at::kDouble);
      const auto exact = run(model, operands(setting, low, at::kDouble), low, {});
      for (const auto& results : got) {
        EXPECT_EQ(results.outputs[0].scalar_type(), low);
        // Outputs are rounded once a layer, gradients once more.
        expect_near(results.outputs, exact.outputs, 3 * unit(low), "output");
        expect_near(results.gradients, exact.gradients, 8 * unit(low), "gradient");
      }
    }
  }
}

// The largest relative error of a weight's gradient, and torch's list's.
struct Errors {
  double ours = 0, torchs = 0;
};

double relative(const Tensor& got, const Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// `loss` calls the module on what it is given in fp64, fp32 or a region.
template <typename Loss>
Errors errors_of_weights(const std::shared_ptr<torch::nn::Module>& module, c10::ScalarType low,
                         const OpPolicy& policy, const Loss& loss) {
  const auto gradients = [&](const std::optional<OpPolicy>& under) {
    Tensor sum;
    {
      const Autocast autocast(at::kCPU, low, {.enabled = under.has_value(), .policy = under});
      sum = loss(module->parameters()[0].scalar_type());
    }
    return torch::autograd::grad({sum}, module->parameters());
  };
  const auto ours = gradients(policy), torchs = gradients(OpPolicy::torch(at::kCPU));
  module->to(at::kDouble);
  const auto exact = gradients(std::nullopt);
  module->to(at::kFloat);
  Errors errors;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    errors.ours = std::max(errors.ours, relative(ours[i], exact[i]));
    errors.torchs = std::max(errors.torchs, relative(torchs[i], exact[i]));
  }
  return errors;
}

// In bf16 and fp16, under fast and unified, over 1,024 steps: at most 1 %, and never worse than torch.
void expect_long(const Setting& setting) {
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    for (const auto& policy : policies()) {
      SCOPED_TRACE(setting.text() + ", " + c10::toString(low) + ", " + policy.name());
      const auto model = made(setting);
      const auto errors = errors_of_weights(model.module, low, policy, [&](c10::ScalarType as) {
        const auto given = operands(setting, at::kFloat, as);
        return weighted_sum({model.call(given)[0]});
      });
      EXPECT_LT(errors.ours, 0.01);
      EXPECT_LE(errors.ours, errors.torchs);
    }
  }
}

TEST(LongRecurrence, WeightsOfAGru) { expect_long({.size = 16, .hidden = 16, .time = 1024}); }

TEST(LongRecurrence, WeightsOfAnRnn) {
  expect_long({.kind = Kind::tanh, .size = 16, .hidden = 16, .time = 1024});
  expect_long({.kind = Kind::relu, .size = 16, .hidden = 16, .time = 1024});
}

TEST(LongRecurrence, WeightsOfDeepPackedNetworksOfBothDirections) {
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::lstm}) {
    expect_long({.kind = kind,
                 .layers = 2,
                 .size = 16,
                 .hidden = 16,
                 .time = 1024,
                 .bidirectional = true,
                 .packed = true});
  }
}

TEST(LongRecurrence, WeightsOfALstmOfBothDirections) {
  expect_long({.kind = Kind::lstm, .size = 16, .hidden = 16, .time = 1024, .bidirectional = true});
}

// A user's own loop over a cell.
template <typename Cell>
void expect_cell(Cell cell, const std::function<Tensor(Cell&, const Tensor&, Tensors&)>& step) {
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    for (const auto& policy : policies()) {
      SCOPED_TRACE(std::string(c10::toString(low)) + ", " + policy.name());
      const auto errors = errors_of_weights(cell.ptr(), low, policy, [&](c10::ScalarType as) {
        at::manual_seed(12);
        const auto inputs = at::randn({1024, 3, 8}).to(as);
        Tensors states = {at::zeros({3, 8}, as), at::zeros({3, 8}, as)}, outputs;
        for (const auto& input : inputs.unbind()) outputs.push_back(step(cell, input, states));
        return weighted_sum({at::stack(outputs)});
      });
      EXPECT_LT(errors.ours, 0.01);
      EXPECT_LE(errors.ours, errors.torchs);
    }
  }
}

TEST(LongRecurrence, WeightsOfCellsInALoop) {
  at::manual_seed(7);
  const auto one_state = [](auto& cell, const Tensor& input, Tensors& states) {
    return states[0] = cell(input, states[0]);
  };
  expect_cell<torch::nn::GRUCell>(torch::nn::GRUCell(8, 8), one_state);
  expect_cell<torch::nn::RNNCell>(torch::nn::RNNCell(8, 8), one_state);
  expect_cell<torch::nn::RNNCell>(
      torch::nn::RNNCell(torch::nn::RNNCellOptions(8, 8).nonlinearity(torch::kReLU)), one_state);
  expect_cell<torch::nn::LSTMCell>(
      torch::nn::LSTMCell(8, 8),
      [](torch::nn::LSTMCell& cell, const Tensor& input, Tensors& states) {
        std::tie(states[0], states[1]) = cell(input, std::tuple(states[0], states[1]));
        return states[0];
      });
}

// h' = z h + (1 - z) n with z = sigmoid(7): a state that moves by 1/1000 of what is left at a step, which
// bf16 would not carry past a half.
TEST(LongRecurrence, TheStateIsFp32) {
  torch::nn::GRU gru(1, 1);
  torch::nn::GRUCell cell(1, 1);
  for (auto* const module :
       {static_cast<torch::nn::Module*>(gru.get()), static_cast<torch::nn::Module*>(cell.get())}) {
    const c10::NoGradGuard no_grad;
    for (auto& item : module->named_parameters()) {
      item.value().zero_();
      if (item.key().find("bias_ih") != std::string::npos)
        item.value().copy_(at::tensor({0.0F, 7.0F, 20.0F}));
    }
  }
  const double left = std::pow(1 / (1 + std::exp(-7.0)), 2000);
  for (const auto& policy : policies()) {
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
    EXPECT_NEAR(std::get<1>(gru(at::zeros({2000, 1, 1}))).item<double>(), 1 - left, 1e-4);
    auto state = at::zeros({1, 1}, at::kBFloat16);
    for (int t = 0; t < 2000; ++t) state = cell(at::zeros({1, 1}, at::kBFloat16), state);
    EXPECT_EQ(state.scalar_type(), at::kFloat);
    EXPECT_NEAR(state.item<double>(), 1 - left, 1e-4);
  }
}

TEST(LongRecurrence, StatesComeBackInTheDtypeTheyWereGivenIn) {
  const Setting setting;
  const auto model = made(setting);
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  for (const auto as : {at::kFloat, at::kBFloat16}) {
    const auto outputs = model.call(operands(setting, at::kBFloat16, as));
    EXPECT_EQ(outputs[0].scalar_type(), at::kBFloat16);
    EXPECT_EQ(outputs[1].scalar_type(), as);
  }
}

TEST(LongRecurrence, GradientsCanBeDifferentiatedAgain) {
  std::vector<Setting> settings;
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::lstm}) {
    settings.push_back({.kind = kind, .layers = 2, .bidirectional = true, .packed = true});
    settings.push_back({.kind = kind, .batch_first = true});
  }
  settings.push_back({.kind = Kind::lstm, .projection = 4, .packed = true});
  for (const auto& setting : settings) {
    SCOPED_TRACE(setting.text());
    const auto penalty = [&](const Model& model, c10::ScalarType as, bool region) {
      const auto given = operands(setting, at::kBFloat16, as);
      Tensor output;
      {
        const Autocast autocast(at::kCPU, at::kBFloat16,
                                {.enabled = region, .policy = OpPolicy::fast(at::kCPU)});
        output = model.call(given)[0];
      }
      const auto first = torch::autograd::grad({output.to(at::kDouble).square().sum()},
                                               {given.input}, {}, true, true)[0];
      Tensors inputs = {given.input, given.h0};
      for (const auto& parameter : model.module->parameters()) inputs.push_back(parameter);
      return torch::autograd::grad({first.to(at::kDouble).square().sum()}, inputs);
    };
    const auto model = made(setting);
    round_weights(model, at::kBFloat16);
    const auto ours = penalty(model, at::kFloat, true);
    model.module->to(at::kDouble);
    expect_near(ours, penalty(model, at::kDouble, false), 20 * 0x1p-8, "second gradient");
  }
}

// What the rules do not take is LibTorch's: fp64, which no rule casts, and its errors.
TEST(LongRecurrence, LeavesTheRestToLibTorch) {
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::relu}) {
    const Setting setting = {.kind = kind};
    const auto model = made(setting);
    model.module->to(at::kDouble);
    const auto given = operands(setting, at::kBFloat16, at::kDouble);
    const auto expected = model.call(given)[0];
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
    EXPECT_TRUE(model.call(given)[0].equal(expected));
    auto wrong = given;
    wrong.input = at::randn({6, 3, 4}, at::kDouble);
    EXPECT_THROW(model.call(wrong), c10::Error);
  }
  torch::nn::GRUCell cell(4, 4);
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  EXPECT_THROW(cell(at::randn({3, 5})), c10::Error);
}

TEST(LongRecurrence, DropsOutBetweenLayersInTraining) {
  at::manual_seed(1);
  torch::nn::GRU gru(torch::nn::GRUOptions(5, 8).num_layers(2).dropout(0.5));
  const auto input = at::randn({6, 3, 5});
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  const auto output = [&] { return std::get<0>(gru(input)); };
  EXPECT_FALSE(output().equal(output()));
  gru->eval();
  EXPECT_TRUE(output().equal(output()));
  const auto recorded = output().detach();
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(output().equal(recorded));
}

TEST(LongRecurrence, RulesOfTheLists) {
  for (const auto* op : {"gru.input", "gru.data", "rnn_tanh.input", "rnn_tanh.data",
                         "rnn_relu.input", "rnn_relu.data", "lstm.input", "lstm.data"}) {
    EXPECT_EQ(OpPolicy::fast(at::kCPU).rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::unified().rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule(op), CastRule::keep) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCPU).rule(op), CastRule::keep) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCUDA).rule(op), CastRule::keep) << op;
  }
  for (const auto* op : {"gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell"}) {
    EXPECT_EQ(OpPolicy::fast(at::kCPU).rule(op), CastRule::fp32_inside) << op;
    EXPECT_EQ(OpPolicy::unified().rule(op), CastRule::fp32_inside) << op;
    EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCPU).rule(op), CastRule::keep) << op;
  }
}

}  // namespace
}  // namespace amp::tests
