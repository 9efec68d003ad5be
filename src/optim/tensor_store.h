// Storing what an update has computed by ATen, in the formats of weights and moments, unless there
// was an overflow.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "src/kernels/philox.h"
#include "src/optim/parameter_state.h"

namespace amp::optim {

// Rounds values of one parameter at random, with the numbers that the kernels get.
struct RandomRounding {
  const at::Tensor& parameter;
  kernels::Noise noise;
  at::Tensor step;  // int64, 0-dim: this step's number

  at::Tensor operator()(const at::Tensor& value, c10::ScalarType dtype,
                        kernels::Stream stream) const;
};

// Writes unless the flag (bool, 0-dim, on the target's device) is set. An undefined flag is not
// set.
class Writer {
 public:
  explicit Writer(const at::Tensor& skip) : skip_(skip) {}
  void operator()(const at::Tensor& target, const at::Tensor& value) const;

 private:
  const at::Tensor& skip_;
};

// value: in the dtype of the arithmetic. `form` is how a bf16 or fp16 parameter keeps it.
void write_weight(const Writer& write, const at::Tensor& parameter, const ParameterState& state,
                  LowPrecisionWeights form, const at::Tensor& value, const RandomRounding& round);

}  // namespace amp::optim
