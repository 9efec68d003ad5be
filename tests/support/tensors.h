// Small tensors and parameters made from plain numbers, and what is in a tensor as plain numbers.
#pragma once

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <vector>

#include "tests/support/device.h"

namespace amp::tests {

using Values = std::vector<double>;

// One dimension, on the tests' device; each number rounded once to dtype.
inline at::Tensor tensor(const Values& values, c10::ScalarType dtype = at::kFloat) {
  return at::tensor(values, at::kDouble).to(dtype).to(test_device());
}

// A leaf that wants a gradient.
inline at::Tensor parameter(const Values& values, c10::ScalarType dtype = at::kFloat) {
  return tensor(values, dtype).requires_grad_();
}

// All elements in order; exact, whatever the dtype.
inline Values values(const at::Tensor& tensor) {
  const auto flat = tensor.detach().cpu().to(at::kDouble).contiguous().view(-1);
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

// Element by element at most `tolerance` apart; Inf and NaN only from their like.
MATCHER_P2(AreWithin, tolerance, expected, "") {
  const Values& given = arg;
  const Values& wanted = expected;
  if (given.size() != wanted.size()) {
    *result_listener << given.size() << " elements, not " << wanted.size();
    return false;
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    const bool both_nan = std::isnan(given[i]) && std::isnan(wanted[i]);
    const bool near = given[i] == wanted[i] || std::abs(given[i] - wanted[i]) <= tolerance;
    if (both_nan || near) continue;
    *result_listener << "element " << i << " is off by " << given[i] - wanted[i];
    return false;
  }
  return true;
}

// Element by element the same number.
template <typename Expected>
auto AreExactly(const Expected& expected) {
  return AreWithin(0.0, Values(expected));
}

// The same dtype, shape and numbers.
MATCHER_P(IsIdenticalTo, expected, "") {
  const at::Tensor& given = arg;
  const at::Tensor& wanted = expected;
  if (given.scalar_type() != wanted.scalar_type() || given.sizes() != wanted.sizes()) {
    *result_listener << "dtype " << given.scalar_type() << ", shape " << given.sizes();
    return false;
  }
  return testing::ExplainMatchResult(AreExactly(values(wanted)), values(given), result_listener);
}

}  // namespace amp::tests
