// LibTorch's recurrent networks and cells, computed on the CPU with fp32 states, gates and sums.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

#include "amp/op_policy.h"
#include "src/autocast/own_kernel.h"
#include "src/ops/recurrent_layer.h"

namespace at::_ops {
struct gru_input;
struct gru_data;
struct rnn_tanh_input;
struct rnn_tanh_data;
struct rnn_relu_input;
struct rnn_relu_data;
struct lstm_data;
struct gru_cell;
struct rnn_tanh_cell;
struct rnn_relu_cell;
struct lstm_cell;
}  // namespace at::_ops

namespace amp::ops {

using autocast::Casts;

// `by` is the rule by which `run` computes what `takes`; else, and where a format is emulated, the op is
// LibTorch's, with `on_cuda` as its rule there.
template <typename Network>
struct Recurrent : Network {
  static constexpr bool lets_dtypes_mix = false;

  template <typename... Args>
  static CastRule rule(CastRule rule, c10::DeviceType device, const autocast::Region* region,
                       const Args&... args) {
    if (rule != Network::by) return rule;
    if (device != c10::DeviceType::CPU) return Network::on_cuda;
    const bool emulates = region != nullptr && region->cpu.emulate.has_value();
    return !emulates && Network::takes(args...) ? rule : CastRule::keep;
  }

  static constexpr bool computes(CastRule rule, c10::DeviceType device) {
    return rule == Network::by && device == c10::DeviceType::CPU;
  }
};

using WithLastState = std::tuple<at::Tensor, at::Tensor>;
using WithLastStates = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// Whole networks: `lower_precision`. CUDA's go through _cudnn_rnn, which has that rule.
struct ByLowerPrecision {
  static constexpr CastRule by = CastRule::lower_precision, on_cuda = CastRule::keep;
};

template <CellKind cell>
struct PaddedNetwork : ByLowerPrecision {
  static bool takes(const at::Tensor& input, const at::Tensor& state, at::TensorList weights,
                    bool has_biases, std::int64_t layers, double dropout, bool train,
                    bool bidirectional, bool batch_first);
  static WithLastState run(const Casts& to_low, const at::Tensor& input, const at::Tensor& state,
                           at::TensorList weights, bool has_biases, std::int64_t layers,
                           double dropout, bool train, bool bidirectional, bool batch_first);
};

template <CellKind cell>
struct PackedNetwork : ByLowerPrecision {
  static bool takes(const at::Tensor& input, const at::Tensor& batch_sizes, const at::Tensor& state,
                    at::TensorList weights, bool has_biases, std::int64_t layers, double dropout,
                    bool train, bool bidirectional);
  static WithLastState run(const Casts& to_low, const at::Tensor& input,
                           const at::Tensor& batch_sizes, const at::Tensor& state,
                           at::TensorList weights, bool has_biases, std::int64_t layers,
                           double dropout, bool train, bool bidirectional);
};

struct PackedLstm : ByLowerPrecision {
  static bool takes(const at::Tensor& input, const at::Tensor& batch_sizes, at::TensorList states,
                    at::TensorList weights, bool has_biases, std::int64_t layers, double dropout,
                    bool train, bool bidirectional);
  static WithLastStates run(const Casts& to_low, const at::Tensor& input,
                            const at::Tensor& batch_sizes, at::TensorList states,
                            at::TensorList weights, bool has_biases, std::int64_t layers,
                            double dropout, bool train, bool bidirectional);
};

// One step: `fp32_inside`. Input and weights are cast as by lower_precision; gates and states are fp32, the
// ones that are returned, too, so that a loop over steps rounds no state.
struct ByFp32Inside {
  static constexpr CastRule by = CastRule::fp32_inside, on_cuda = CastRule::lower_precision;
};

using MaybeTensor = std::optional<at::Tensor>;

template <CellKind cell>
struct OneStep : ByFp32Inside {
  static bool takes(const at::Tensor& input, const at::Tensor& state, const at::Tensor& w_ih,
                    const at::Tensor& w_hh, const MaybeTensor& b_ih, const MaybeTensor& b_hh);
  static at::Tensor run(const Casts& to_low, const at::Tensor& input, const at::Tensor& state,
                        const at::Tensor& w_ih, const at::Tensor& w_hh, const MaybeTensor& b_ih,
                        const MaybeTensor& b_hh);
};

struct OneLstmStep : ByFp32Inside {
  static bool takes(const at::Tensor& input, at::TensorList states, const at::Tensor& w_ih,
                    const at::Tensor& w_hh, const MaybeTensor& b_ih, const MaybeTensor& b_hh);
  static std::tuple<at::Tensor, at::Tensor> run(const Casts& to_low, const at::Tensor& input,
                                                at::TensorList states, const at::Tensor& w_ih,
                                                const at::Tensor& w_hh, const MaybeTensor& b_ih,
                                                const MaybeTensor& b_hh);
};

}  // namespace amp::ops

namespace amp::autocast {

template <>
struct OwnKernel<at::_ops::gru_input> : ops::Recurrent<ops::PaddedNetwork<ops::CellKind::gru>> {};
template <>
struct OwnKernel<at::_ops::gru_data> : ops::Recurrent<ops::PackedNetwork<ops::CellKind::gru>> {};
template <>
struct OwnKernel<at::_ops::rnn_tanh_input>
    : ops::Recurrent<ops::PaddedNetwork<ops::CellKind::tanh>> {};
template <>
struct OwnKernel<at::_ops::rnn_tanh_data>
    : ops::Recurrent<ops::PackedNetwork<ops::CellKind::tanh>> {};
template <>
struct OwnKernel<at::_ops::rnn_relu_input>
    : ops::Recurrent<ops::PaddedNetwork<ops::CellKind::relu>> {};
template <>
struct OwnKernel<at::_ops::rnn_relu_data>
    : ops::Recurrent<ops::PackedNetwork<ops::CellKind::relu>> {};
template <>
struct OwnKernel<at::_ops::lstm_data> : ops::Recurrent<ops::PackedLstm> {};
template <>
struct OwnKernel<at::_ops::gru_cell> : ops::Recurrent<ops::OneStep<ops::CellKind::gru>> {};
template <>
struct OwnKernel<at::_ops::rnn_tanh_cell> : ops::Recurrent<ops::OneStep<ops::CellKind::tanh>> {};
template <>
struct OwnKernel<at::_ops::rnn_relu_cell> : ops::Recurrent<ops::OneStep<ops::CellKind::relu>> {};
template <>
struct OwnKernel<at::_ops::lstm_cell> : ops::Recurrent<ops::OneLstmStep> {};

}  // namespace amp::autocast
