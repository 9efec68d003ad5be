// An op computed again in a wider format, to tell what the format did from what the op does.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/operator_name.h>

#include <vector>

namespace amp::inspect {

struct WideResult {
  bool evaluated = false;  // not: the op draws random numbers, or has no kernel for the wide format
  bool finite = false;
  double amax = 0;  // of the finite numbers
  std::vector<at::Tensor> outputs = {};
};

// Calls the op with `arguments`, which it does not change: every floating-point tensor among them
// widened, to fp32 if the result was fp16, else to fp64 (bf16 has the range of fp32), and so for the
// dtype that it is asked to give. Below autograd and autocast, unobserved.
WideResult evaluate_wide(const c10::OperatorName& op, std::vector<c10::IValue> arguments,
                         c10::ScalarType result);

// The share of `wide`'s numbers other than zero that are zero in `narrow`.
double flushed_share(const at::Tensor& narrow, const at::Tensor& wide);

}  // namespace amp::inspect
