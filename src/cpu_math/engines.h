// fp32 products on a named engine.
#pragma once

#include <ATen/core/Tensor.h>

#include "src/cpu_math/switches.h"

namespace amp::cpu_math {

// Whether this LibTorch carries oneDNN's matrix product as an op.
bool has_onednn();

// Times one 256 x 1024 x 1024 product on each engine, interleaved, and returns the one with the
// smaller minimum. About 30 ms on two cores. mkl where there is no oneDNN.
Engine measure_fast_engine();

// a [m, k] times b [k, n], both fp32 and of any strides, plus bias [n] if defined; fp32 [m, n],
// contiguous. Summation order is the engine's.
at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// As above, on the faster engine if the product is large enough to pay for oneDNN's set-up, else
// LibTorch's.
at::Tensor fast_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// a [batch, m, k] times b [batch, k, n].
at::Tensor fast_batched_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace amp::cpu_math
