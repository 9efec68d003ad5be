// The four optimizers by type, for tests of what they have in common, and given gradients.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "amp/optim.h"
#include "tests/support/tensors.h"

namespace amp::tests {

template <typename OptimizerType, typename OptionsType>
struct Kind {
  using Optimizer = OptimizerType;
  using Options = OptionsType;
};
using SgdKind = Kind<optim::SGD, optim::SGDOptions>;
using AdamKind = Kind<optim::Adam, optim::AdamOptions>;
using AdamWKind = Kind<optim::AdamW, optim::AdamWOptions>;
using LambKind = Kind<optim::Lamb, optim::LambOptions>;
using AllKinds = testing::Types<SgdKind, AdamKind, AdamWKind, LambKind>;

// Options that use every buffer the optimizer can have.
template <typename Options>
Options full_options(optim::MemoryOptions memory = {}) {
  Options options;
  options.lr = 0.02;
  options.weight_decay = 0.01;
  options.memory = memory;
  if constexpr (requires { options.momentum; }) options.momentum = 0.9;
  if constexpr (requires { options.amsgrad; }) options.amsgrad = true;
  return options;
}

// count values: ((i * stride) mod modulus, centred) * unit; exact in fp32.
inline at::Tensor cycle(std::int64_t count, std::int64_t stride, std::int64_t modulus,
                        double unit) {
  const auto index = at::arange(count, at::kLong);
  const auto centred = (index * stride).remainder(modulus) - modulus / 2;
  return (centred.to(at::kFloat) * unit).to(test_device());
}

inline at::Tensor weights_like(at::IntArrayRef shape, c10::ScalarType dtype = at::kFloat) {
  return cycle(c10::multiply_integers(shape), 7, 17, 0.125).reshape(shape).to(dtype);
}

inline at::Tensor trained(at::IntArrayRef shape, c10::ScalarType dtype = at::kFloat) {
  return weights_like(shape, dtype).requires_grad_();
}

// Different in each step; 11 bits or less, so that every dtype but bf16 holds them exactly.
inline at::Tensor gradient_of_step(std::int64_t step, at::IntArrayRef shape,
                                   c10::ScalarType dtype = at::kFloat) {
  const auto count = c10::multiply_integers(shape);
  return cycle(count, 11 + 2 * step, 29, 0.0625).reshape(shape).to(dtype);
}

// Equal bit for bit, dtype and shape too; NaN to NaN.
inline bool identical(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         at::equal(a.detach().nan_to_num(12345.0), b.detach().nan_to_num(12345.0));
}

}  // namespace amp::tests
