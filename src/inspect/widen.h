// An op computed again in a wider format, to tell what the format did from what the op does.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/operator_name.h>

#include <vector>

namespace amp::inspect {

struct WideResult {
  bool evaluated = false;  // not: the op draws random numbers, or has no kernel for `wide`
  bool finite = false;
  double amax = 0;  // of the finite numbers
  std::vector<at::Tensor> outputs = {};
};

// Calls the op with `arguments`, which it does not change: every floating-point tensor among them
// becomes `wide`, and so does the dtype that it is asked to give. Below autograd and autocast,
// unobserved.
WideResult evaluate_wide(const c10::OperatorName& op, std::vector<c10::IValue> arguments,
                         c10::ScalarType wide);

// Whether it draws random numbers: calling it again gives something else. A dropout of nothing does not.
bool draws_random(const c10::OperatorName& op, const std::vector<c10::IValue>& arguments);

// What has more range: fp32 for fp16, else fp64, because bf16 has the range of fp32.
c10::ScalarType with_more_range(c10::ScalarType dtype);

// The share of the numbers that are not zero in `wide` and are zero in `narrow`.
double flushed_share(const at::Tensor& narrow, const at::Tensor& wide);

}  // namespace amp::inspect
