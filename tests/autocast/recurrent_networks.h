// What the tests of recurrent networks share: LibTorch's modules by their settings, and runs of them.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/utils/rnn.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "amp/autocast.h"

namespace amp::tests::recurrence {

using at::Tensor;
using Tensors = std::vector<Tensor>;
namespace packing = torch::nn::utils::rnn;

inline const std::vector<OpPolicy>& policies() {
  static const std::vector<OpPolicy> all = {OpPolicy::fast(at::kCPU), OpPolicy::unified()};
  return all;
}

inline double unit(c10::ScalarType dtype) { return dtype == at::kHalf ? 0x1p-11 : 0x1p-8; }

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
inline Tensor padded(const packing::PackedSequence& sequence, bool batch_first, std::int64_t time) {
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

inline Model with_two_states(torch::nn::LSTM holder, const Setting& setting) {
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

inline Model made(const Setting& setting) {
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
inline Operands operands(const Setting& setting, c10::ScalarType dtype, c10::ScalarType as) {
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
inline void round_weights(const Model& model, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  for (auto& parameter : model.module->parameters()) parameter.copy_(parameter.to(dtype));
}

inline Tensor weighted_sum(const Tensors& outputs) {
  at::manual_seed(13);
  auto sum = at::zeros({}, at::kDouble);
  for (const auto& output : outputs)
    sum = sum + (output.to(at::kDouble) * at::randn(output.sizes(), at::kDouble)).sum();
  return sum;
}

struct Results {
  Tensors outputs, gradients;
};

inline Results run(const Model& model, const Operands& given, c10::ScalarType low,
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

inline void expect_near(const Tensors& got, const Tensors& exact, double tolerance,
                        const char* what) {
  ASSERT_EQ(got.size(), exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), exact[i].sizes()) << what << ' ' << i;
    const double largest = exact[i].abs().max().item<double>();
    const double error = (got[i].to(at::kDouble) - exact[i]).abs().max().item<double>();
    EXPECT_LE(error, tolerance * largest) << what << ' ' << i;
  }
}

}  // namespace amp::tests::recurrence
