// What recurrent layers share: products in the dtype that the processor multiplies in, and an LSTM's gates.
#include "src/ops/recurrent_math.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>

#include "src/cpu_math/engines.h"
#include "src/cpu_math/switches.h"

namespace amp::ops {

using at::Tensor;

Weights weights_of(at::TensorList list, bool has_biases) {
  Weights weights = {list[0], list[1], {}, {}, {}};
  if (has_biases) {
    weights.b_ih = list[2];
    weights.b_hh = list[3];
  }
  if (list.size() % 2 == 1) weights.w_hr = list.back();
  return weights;
}

Tensor to_multiply(const Tensor& tensor) {
  return cpu_math::widens(tensor.scalar_type()) ? tensor.to(at::kFloat) : tensor;
}

Tensor product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  if (a.scalar_type() == at::kFloat) return cpu_math::fast_product(a, b, bias);
  return bias.defined() ? at::addmm(bias, a, b) : at::mm(a, b);
}

Tensor product_plus(const Tensor& self, const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == at::kFloat) return product(a, b).add_(self);
  return at::addmm(self, a, b).to(at::kFloat);
}

// i and f lie side by side.
void activate(const Tensor& gates) {
  const auto hidden = gates.size(-1) / 4;
  gates.narrow(-1, 0, 2 * hidden).sigmoid_();
  gates.narrow(-1, 2 * hidden, hidden).tanh_();
  gates.narrow(-1, 3 * hidden, hidden).sigmoid_();
}

LstmFactors factors_of(const LstmSteps& steps) {
  const auto gate = parts(steps.gates);
  const auto &i = gate[0], &f = gate[1], &g = gate[2], &o = gate[3];
  return {(1 - steps.tanh_cells.square()).mul_(o),
          at::cat({g * i * (1 - i), steps.cells_before * f * (1 - f), i * (1 - g.square())}, -1),
          (steps.tanh_cells * o).mul_(1 - o)};
}

}  // namespace amp::ops
