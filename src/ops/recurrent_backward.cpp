// Gradients of a recurrent layer.
#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <iterator>

#include "src/ops/recurrent_cells.h"
#include "src/ops/recurrent_layer.h"

namespace amp::ops {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

// Of its own memory, in fp32.
Tensor fp32_copy_or_zeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)
                            : at::zeros_like(like, at::kFloat);
}

// The state before every step, in the order of rows: that of the step before where the sequence has one,
// else the first.
Tensor states_before(const SavedLayer& layer, const std::vector<Step>& steps,
                     c10::ScalarType dtype) {
  const auto first = layer.h0().to(dtype), outputs = layer.outputs().to(dtype);
  const auto before = at::empty(outputs.sizes(), outputs.options());
  Step last = {0, 0};
  for (const auto& step : steps) {
    const auto known = std::min(last.count, step.count);
    const auto rest = step.count - known;
    if (known > 0)
      before.narrow(0, step.offset, known).copy_(outputs.narrow(0, last.offset, known));
    if (rest > 0) before.narrow(0, step.offset + known, rest).copy_(first.narrow(0, known, rest));
    last = step;
  }
  return before;
}

// Gradients of what every step's gates were made of: the part of the input and that of the state, [rows,
// gates * hidden], in the dtype of products; of the first states; and of the projection.
struct OfGates {
  Tensor of_inputs, of_states, h0, c0, w_hr;
};

// What the loop over steps writes: gradients of all states and, [rows, gates, hidden], of the gates.
struct Written {
  Tensor of_h, gates;
};

// Cells whose output is their state: a gate's gradient is the state's times a factor, [rows, gates, hidden],
// and `carried`, if defined, of the state's goes to the state before. `first` becomes the gradient of h0.
void through_steps(const std::vector<Step>& steps, const Tensor& of_outputs, const Tensor& factors,
                   const Tensor& carried, const Tensor& w_hh, const Tensor& first,
                   const Written& written) {
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const auto here = [&](const Tensor& tensor) {
      return tensor.narrow(0, step->offset, step->count);
    };
    const auto state = first.narrow(0, 0, step->count);
    const auto of_h = here(written.of_h);
    of_h.copy_(state);
    if (of_outputs.defined()) of_h.add_(here(of_outputs));
    auto gates = here(written.gates);
    at::mul_out(gates, here(factors), of_h.unsqueeze(1));
    state.copy_(product(gates.flatten(1), w_hh));
    if (carried.defined()) state.addcmul_(of_h, here(carried));
  }
}

OfGates gru(const SavedLayer& layer, const Tensors& gradients, const std::vector<Step>& steps,
            const Tensor& before) {
  const auto weights = layer.weights();
  const auto hidden = layer.h0().size(1);
  const auto w_hh = to_multiply(weights.w_hh);
  const auto of_inputs = gates_of_inputs(layer.x(), weights, CellKind::gru);
  const auto bias = weights.b_hh.defined() ? to_multiply(weights.b_hh) : Tensor();
  const auto of_states = product(before, w_hh.t(), bias).to(at::kFloat);
  const auto gates = of_states.narrow(1, 0, 2 * hidden);
  gates.add_(of_inputs.narrow(1, 0, 2 * hidden)).sigmoid_();
  const auto r = gates.narrow(1, 0, hidden), z = gates.narrow(1, hidden, hidden);
  const auto reset_part = of_states.narrow(1, 2 * hidden, hidden);
  const auto n = at::addcmul(of_inputs.narrow(1, 2 * hidden, hidden), r, reset_part).tanh_();
  const auto to_candidate = (1 - n.square()).mul_(1 - z);
  const auto factors = at::cat({(to_candidate * reset_part).mul_(r).mul_(1 - r),
                                (before.to(at::kFloat) - n).mul_(z).mul_(1 - z), to_candidate * r},
                               1)
                           .view({-1, 3, hidden});
  const Written written = {at::empty(n.sizes(), n.options()),
                           at::empty(factors.sizes(), w_hh.options())};
  const auto first = fp32_copy_or_zeros(gradients[1], layer.h0());
  through_steps(steps, gradients[0], factors, z, w_hh, first, written);
  const auto of_state_gates = written.gates.flatten(1);
  const auto of_input_gates = of_state_gates.clone();
  of_input_gates.narrow(1, 2 * hidden, hidden).copy_(written.of_h * to_candidate);
  return {of_input_gates, of_state_gates, first, {}, {}};
}

OfGates plain(const SavedLayer& layer, const Tensors& gradients, const std::vector<Step>& steps,
              const Tensor& before) {
  const auto weights = layer.weights();
  const auto w_hh = to_multiply(weights.w_hh);
  const auto sums = product(before, w_hh.t())
                        .to(at::kFloat)
                        .add_(gates_of_inputs(layer.x(), weights, layer.how.cell));
  const auto slope =
      layer.how.cell == CellKind::tanh ? 1 - sums.tanh_().square() : sums.gt(0).to(at::kFloat);
  const Written written = {at::empty(slope.sizes(), slope.options()),
                           at::empty(slope.unsqueeze(1).sizes(), w_hh.options())};
  const auto first = fp32_copy_or_zeros(gradients[1], layer.h0());
  through_steps(steps, gradients[0], slope.unsqueeze(1), {}, w_hh, first, written);
  const auto of_gates = written.gates.flatten(1);
  return {of_gates, of_gates, first, {}, {}};
}

LstmSteps lstm_again(const SavedLayer& layer, const std::vector<Step>& steps,
                     const Tensor& before) {
  const auto weights = layer.weights();
  const auto gates = product(before, to_multiply(weights.w_hh).t())
                         .to(at::kFloat)
                         .add_(gates_of_inputs(layer.x(), weights, CellKind::lstm));
  activate(gates);
  const auto gate = parts(gates);
  const auto cells = gate[0] * gate[2];
  const auto cells_before = at::empty(cells.sizes(), cells.options());
  const auto last = layer.c0().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  for (const auto& step : steps) {
    const auto here = [&](const Tensor& tensor) {
      return tensor.narrow(0, step.offset, step.count);
    };
    const auto cell = last.narrow(0, 0, step.count);
    here(cells_before).copy_(cell);
    cell.mul_(here(gate[1])).add_(here(cells));
    here(cells).copy_(cell);
  }
  return {gates, cells_before, cells.tanh_()};
}

OfGates lstm(const SavedLayer& layer, const Tensors& gradients, const std::vector<Step>& steps,
             const Tensor& before) {
  const auto weights = layer.weights();
  const auto again = lstm_again(layer, steps, before);
  const auto factors = factors_of(again);
  const auto hidden = layer.c0().size(1);
  const auto w_hh = to_multiply(weights.w_hh);
  const auto projection = weights.w_hr.defined() ? to_multiply(weights.w_hr) : Tensor();
  const auto of_gates = at::empty(again.gates.sizes(), w_hh.options());
  const auto of_outputs =
      projection.defined() ? at::empty(layer.outputs().sizes(), w_hh.options()) : Tensor();
  const auto of_h0 = fp32_copy_or_zeros(gradients[1], layer.h0()),
             of_c0 = fp32_copy_or_zeros(gradients[2], layer.c0());
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const auto here = [&](const Tensor& tensor) {
      return tensor.narrow(0, step->offset, step->count);
    };
    const auto state = of_h0.narrow(0, 0, step->count), cell = of_c0.narrow(0, 0, step->count);
    auto of_output = gradients[0].defined() ? state + here(gradients[0]) : state;
    if (projection.defined()) {
      here(of_outputs).copy_(of_output);
      of_output = product(here(of_outputs), projection).to(at::kFloat);
    }
    cell.addcmul_(of_output, here(factors.cell_of_output));
    const auto gates = here(of_gates);
    gates.narrow(1, 0, 3 * hidden).copy_(cell.repeat({1, 3}).mul_(here(factors.gates_of_cell)));
    gates.narrow(1, 3 * hidden, hidden).copy_(of_output * here(factors.o_of_output));
    cell.mul_(here(parts(again.gates)[1]));
    state.copy_(product(gates, w_hh));
  }
  Tensor of_projection;
  if (projection.defined()) {
    const auto unprojected = again.tanh_cells * parts(again.gates)[3];
    of_projection = product(of_outputs.t(), unprojected.to(w_hh.scalar_type()));
  }
  return {of_gates, of_gates, of_h0, of_c0, of_projection};
}

}  // namespace

Tensors computed_gradients(const SavedLayer& layer, const Tensors& gradients) {
  const auto weights = layer.weights();
  const auto steps = steps_of(layer.how);
  const auto w_ih = to_multiply(weights.w_ih);
  const auto before = states_before(layer, steps, w_ih.scalar_type());
  const auto kind = layer.how.cell;
  const auto of_gates = kind == CellKind::gru    ? gru(layer, gradients, steps, before)
                        : kind == CellKind::lstm ? lstm(layer, gradients, steps, before)
                                                 : plain(layer, gradients, steps, before);
  Tensors found = {product(of_gates.of_inputs, w_ih), of_gates.h0, of_gates.c0,
                   product(of_gates.of_inputs.t(), to_multiply(layer.x())),
                   product(of_gates.of_states.t(), before)};
  if (layer.how.has_biases) {
    found.push_back(of_gates.of_inputs.sum(0, false, at::kFloat));
    found.push_back(of_gates.of_states.sum(0, false, at::kFloat));
  }
  if (of_gates.w_hr.defined()) found.push_back(of_gates.w_hr);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& input = layer.tensors[i < 3 ? i : i + 1];  // the outputs lie between
    if (found[i].defined()) found[i] = found[i].to(input.scalar_type());
  }
  return found;
}

Tensors recorded_gradients(const SavedLayer& layer, const Tensors& gradients) {
  Tensors inputs = {layer.x(), layer.h0(), layer.c0()};
  inputs.insert(inputs.end(), layer.tensors.begin() + 4, layer.tensors.end());
  Tensors wide;
  for (const auto& input : inputs) wide.push_back(input.defined() ? input.to(at::kFloat) : input);
  const auto weights = weights_of(at::TensorList(wide).slice(3), layer.how.has_biases);
  const auto of_inputs = at::linear(wide[0], weights.w_ih, weights.b_ih);
  State state = {wide[1], wide[2]};
  Tensors outputs;
  for (const auto& step : steps_of(layer.how)) {
    const auto next = next_state(layer.how.cell, of_inputs.narrow(0, step.offset, step.count),
                                 weights, first_of(state, step.count));
    outputs.push_back(next.h);
    state = with_rest_of(next, state);
  }
  if (layer.how.reverse) std::ranges::reverse(outputs);
  const Tensors results = {at::cat(outputs), state.h, state.c};
  Tensors of_results, needed, differentiated;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!gradients[i].defined()) continue;
    differentiated.push_back(results[i]);
    of_results.push_back(gradients[i].to(at::kFloat));
  }
  const auto is_needed = [](const Tensor& input) {
    return input.defined() && input.requires_grad();
  };
  std::ranges::copy_if(inputs, std::back_inserter(needed), is_needed);
  const auto found =
      torch::autograd::grad(differentiated, needed, of_results, /*retain_graph=*/true,
                            /*create_graph=*/true, /*allow_unused=*/true);
  Tensors all;
  auto next = found.begin();
  for (const auto& input : inputs) all.push_back(is_needed(input) ? *next++ : Tensor());
  return all;
}

}  // namespace amp::ops
