// One step of a recurrent network, through ops that autograd records.
#include "src/ops/recurrent_cells.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>

namespace amp::ops {

using at::Tensor;

State next_state(CellKind kind, const Tensor& of_input, const Weights& weights,
                 const State& before) {
  const auto dtype = weights.w_hh.scalar_type();
  const auto of_state = at::linear(before.h.to(dtype), weights.w_hh, weights.b_hh).to(at::kFloat);
  const auto h = before.h.to(at::kFloat);
  if (kind == CellKind::gru) {
    const auto i = of_input.chunk(3, 1), s = of_state.chunk(3, 1);
    const auto reset = (i[0] + s[0]).sigmoid(), update = (i[1] + s[1]).sigmoid();
    const auto candidate = (i[2] + reset * s[2]).tanh();
    return {candidate + update * (h - candidate), {}};
  }
  const auto sums = of_input + of_state;
  if (kind == CellKind::tanh) return {sums.tanh(), {}};
  if (kind == CellKind::relu) return {sums.relu(), {}};
  const auto gate = parts(sums);
  const auto c = gate[1].sigmoid() * before.c.to(at::kFloat) + gate[0].sigmoid() * gate[2].tanh();
  auto output = gate[3].sigmoid() * c.tanh();
  if (weights.w_hr.defined()) output = at::linear(output, weights.w_hr);
  return {output, c};
}

State first_of(const State& state, std::int64_t count) {
  const auto part = [&](const Tensor& tensor) {
    return tensor.defined() ? tensor.narrow(0, 0, count) : tensor;
  };
  return {part(state.h), part(state.c)};
}

State with_rest_of(const State& next, const State& before) {
  const auto whole = [](const Tensor& first, const Tensor& all) {
    const auto count = first.defined() ? first.size(0) : 0;
    return count == 0 || count == all.size(0)
               ? first
               : at::cat({first, all.narrow(0, count, all.size(0) - count)});
  };
  return {whole(next.h, before.h), whole(next.c, before.c)};
}

}  // namespace amp::ops
