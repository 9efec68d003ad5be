// One layer of a recurrent network in low precision, in one direction, over packed sequences.
#include "src/ops/recurrent_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace amp::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Writes the next states over the ones before. of_input and of_state: [batch, gates * hidden], the
// second is used up.
void advance_(CellKind kind, const Tensor& of_input, Tensor of_state, Tensor h, Tensor c,
              const Tensor& projection, c10::ScalarType dtype) {
  const auto hidden = of_input.size(1) / (kind == CellKind::lstm ? 4 : 3);
  if (kind == CellKind::gru) {
    auto gates = of_state.narrow(1, 0, 2 * hidden);
    gates.add_(of_input.narrow(1, 0, 2 * hidden)).sigmoid_();
    const auto reset = gates.narrow(1, 0, hidden), update = gates.narrow(1, hidden, hidden);
    const auto candidate = at::addcmul(of_input.narrow(1, 2 * hidden, hidden), reset,
                                       of_state.narrow(1, 2 * hidden, hidden))
                               .tanh_();
    at::lerp_out(h, candidate, h, update);
  } else if (kind == CellKind::lstm) {
    const auto gates = of_state.add_(of_input);
    activate(gates);
    const auto gate = parts(gates);
    c.mul_(gate[1]).addcmul_(gate[0], gate[2]);
    auto output = c.tanh().mul_(gate[3]);
    if (projection.defined())
      output =
          product(projection.scalar_type() == at::kFloat ? output : output.to(dtype), projection);
    h.copy_(output);
  } else {
    of_state.add_(of_input);
    if (kind == CellKind::tanh) {
      at::tanh_out(h, of_state);
    } else {
      h.copy_(of_state.relu_());
    }
  }
}

struct RecurrentFunction : torch::autograd::Function<RecurrentFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& h0,
                               const std::optional<Tensor>& given_c0, at::TensorList list,
                               const Recurrence& how) {
    const auto c0 = given_c0.value_or(Tensor());
    const auto weights = weights_of(list, how.has_biases);
    const auto of_inputs = gates_of_inputs(x, weights, how.cell);
    const auto recurrent = to_multiply(weights.w_hh).t();
    const auto projection = weights.w_hr.defined() ? to_multiply(weights.w_hr).t() : Tensor();
    const auto bias =
        how.cell == CellKind::gru && how.has_biases ? to_multiply(weights.b_hh) : Tensor();
    const auto outputs = at::empty({x.size(0), h0.size(1)}, x.options());
    const auto h = h0.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    const auto c = c0.defined() ? c0.to(at::kFloat, false, true) : Tensor();
    for (const auto& step : steps_of(how)) {
      const auto state = h.narrow(0, 0, step.count);
      const auto cell = c.defined() ? c.narrow(0, 0, step.count) : c;
      const auto of_state =
          product(state.to(recurrent.scalar_type()), recurrent, bias).to(at::kFloat);
      advance_(how.cell, of_inputs.narrow(0, step.offset, step.count), of_state, state, cell,
               projection, x.scalar_type());
      outputs.narrow(0, step.offset, step.count).copy_(state);
    }
    variable_list saved = {x, h0, c0, outputs};
    saved.insert(saved.end(), list.begin(), list.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["cell"] = static_cast<std::int64_t>(how.cell);
    ctx->saved_data["has_biases"] = how.has_biases;
    ctx->saved_data["reverse"] = how.reverse;
    ctx->saved_data["batch_sizes"] = how.batch_sizes;
    variable_list results = {outputs, h.to(h0.scalar_type())};
    if (c.defined()) results.push_back(c.to(c0.scalar_type()));
    return results;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
    auto& data = ctx->saved_data;
    const SavedLayer layer = {
        ctx->get_saved_variables(),
        {static_cast<CellKind>(data["cell"].toInt()), data["has_biases"].toBool(),
         data["reverse"].toBool(), data["batch_sizes"].toIntVector()}};
    gradients.resize(3);
    auto result = c10::GradMode::is_enabled() ? recorded_gradients(layer, gradients)
                                              : computed_gradients(layer, gradients);
    result.resize(result.size() + 1);  // how
    return result;
  }
};

}  // namespace

std::vector<Step> steps_of(const Recurrence& how) {
  std::vector<Step> steps;
  std::int64_t offset = 0;
  for (const auto count : how.batch_sizes) {
    steps.push_back({offset, count});
    offset += count;
  }
  if (how.reverse) std::ranges::reverse(steps);
  return steps;
}

// A GRU's reset gate comes between b_hh and the rest.
Tensor gates_of_inputs(const Tensor& x, const Weights& weights, CellKind cell) {
  auto bias = weights.b_ih;
  if (bias.defined()) {
    bias = to_multiply(bias);
    if (cell != CellKind::gru) bias = bias + to_multiply(weights.b_hh);
  }
  return product(to_multiply(x), to_multiply(weights.w_ih).t(), bias).to(at::kFloat);
}

LayerResults recurrent_layer(const Tensor& x, const Tensor& h0, const Tensor& c0,
                             at::TensorList weights, const Recurrence& how) {
  // Not an undefined tensor: of an argument autograd wants to know the device.
  auto results = RecurrentFunction::apply(x, h0, c0.defined() ? std::optional(c0) : std::nullopt,
                                          weights, how);
  results.resize(3);
  return {results[0], results[1], results[2]};
}

}  // namespace amp::ops
