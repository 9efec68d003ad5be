// Which of LibTorch's recurrent ops the engine computes itself on the CPU, by which rule.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

#include "amp/op_policy.h"
#include "src/autocast/recurrent_layer.h"

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

namespace amp::autocast {

struct Casts;

// `rule` is the one by which `run` computes what `takes`; else, and where a format is emulated, the
// op is LibTorch's, with `on_cuda` as its rule there.
template <typename AtOp>
struct Recurrent {
  static constexpr bool possible = false;
};

using WithLastState = std::tuple<at::Tensor, at::Tensor>;
using WithLastStates = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// Whole networks: `lower_precision`. CUDA's go through _cudnn_rnn, which has that rule.
struct ByLowerPrecision {
  static constexpr bool possible = true;
  static constexpr CastRule rule = CastRule::lower_precision, on_cuda = CastRule::keep;
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
  static constexpr bool possible = true;
  static constexpr CastRule rule = CastRule::fp32_inside, on_cuda = CastRule::lower_precision;
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

template <>
struct Recurrent<at::_ops::gru_input> : PaddedNetwork<CellKind::gru> {};
template <>
struct Recurrent<at::_ops::gru_data> : PackedNetwork<CellKind::gru> {};
template <>
struct Recurrent<at::_ops::rnn_tanh_input> : PaddedNetwork<CellKind::tanh> {};
template <>
struct Recurrent<at::_ops::rnn_tanh_data> : PackedNetwork<CellKind::tanh> {};
template <>
struct Recurrent<at::_ops::rnn_relu_input> : PaddedNetwork<CellKind::relu> {};
template <>
struct Recurrent<at::_ops::rnn_relu_data> : PackedNetwork<CellKind::relu> {};
template <>
struct Recurrent<at::_ops::lstm_data> : PackedLstm {};
template <>
struct Recurrent<at::_ops::gru_cell> : OneStep<CellKind::gru> {};
template <>
struct Recurrent<at::_ops::rnn_tanh_cell> : OneStep<CellKind::tanh> {};
template <>
struct Recurrent<at::_ops::rnn_relu_cell> : OneStep<CellKind::relu> {};
template <>
struct Recurrent<at::_ops::lstm_cell> : OneLstmStep {};

}  // namespace amp::autocast
