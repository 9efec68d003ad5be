// One step of a recurrent network, through ops that autograd records.
#pragma once

#include <ATen/core/Tensor.h>

#include "src/ops/recurrent_layer.h"

namespace amp::ops {

struct State {
  at::Tensor h, c;  // c: of an LSTM only
};

// The next state in fp32. of_input: x W_ih^T + b_ih, fp32; the recurrent weights may be low precision, then the
// state is rounded to multiply it and the product is what the processor makes of both.
State next_state(CellKind kind, const at::Tensor& of_input, const Weights& weights,
                 const State& before);

// The first `count` sequences of a state; those of `next`, and the others of `before`.
State first_of(const State& state, std::int64_t count);
State with_rest_of(const State& next, const State& before);

}  // namespace amp::ops
