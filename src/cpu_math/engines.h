// fp32 products on a named engine.
#pragma once

#include <ATen/core/Tensor.h>

#include "src/cpu_math/switches.h"

namespace amp::cpu_math {

// Whether this LibTorch carries oneDNN's matrix product as an op.
bool has_onednn();

// Times one 256 x 1024 x 1024 product on each engine, on one thread, interleaved, and returns the
// one with the smaller minimum of three. About 50 ms. mkl where there is no oneDNN.
Engine measure_fast_engine();

// a [m, k] times b [k, n], both fp32 and of any strides, plus bias [n] if defined; fp32 [m, n],
// contiguous. Summation order is the engine's.
at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// As above, on oneDNN where that is the faster engine and wins at this size, else on LibTorch's own
// engine.
at::Tensor fast_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// Whether alpha a b + beta self is a product plus a bias, which the engines add on the way.
bool is_bias(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b,
             const at::Scalar& beta, const at::Scalar& alpha);

// a [batch, m, k] times b [batch, k, n]; fp32 [batch, m, n], contiguous.
at::Tensor fast_batched_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace amp::cpu_math
