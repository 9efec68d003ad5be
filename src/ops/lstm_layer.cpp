// One layer of an LSTM, in one direction, all of whose sequences have the same length.
#include "src/ops/lstm_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>
#include <vector>

#include "src/cpu_math/switches.h"
#include "src/ops/fp32_lstm.h"
#include "src/ops/recurrent_math.h"

namespace amp::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The part of every step's gates that needs no other step: x W_ih^T + b_ih + b_hh.
Tensor gates_of_inputs(const Tensor& x, const Weights& weights) {
  auto bias = weights.b_ih;
  if (bias.defined()) bias = to_multiply(bias) + to_multiply(weights.b_hh);
  return product(rows(to_multiply(x)), to_multiply(weights.w_ih).t(), bias)
      .view({x.size(0), x.size(1), -1});
}

// One step of the cell after `activate`: [batch, hidden].
Tensor next_cell(const Tensor& cell, const std::vector<Tensor>& gate) {
  return (cell * gate[1]).addcmul_(gate[0], gate[2]);
}

// h_(t-1) of every step: h_0, then all outputs but the last.
Tensor previous(const Tensor& first, const Tensor& outputs, std::int64_t time_dim) {
  return at::cat(
      {first.unsqueeze(time_dim), outputs.narrow(time_dim, 0, outputs.size(time_dim) - 1)},
      time_dim);
}

LstmSteps computed_again(const Tensor& x, const Tensor& before, const Tensor& c0,
                         const Weights& weights, std::int64_t time_dim) {
  const auto of_inputs = gates_of_inputs(x, weights);
  const auto gates =
      product_plus(rows(of_inputs), rows(to_multiply(before)), to_multiply(weights.w_hh).t())
          .view(of_inputs.sizes());
  activate(gates);
  const auto gate = parts(gates);
  const auto new_cells = gate[0] * gate[2];
  const auto cells_before = at::empty_like(new_cells);
  const auto steps = x.size(time_dim);
  cells_before.select(time_dim, 0).copy_(c0);
  for (std::int64_t t = 0; t < steps; ++t) {
    auto cell = new_cells.select(time_dim, t);
    cell.addcmul_(cells_before.select(time_dim, t), gate[1].select(time_dim, t));
    if (t + 1 < steps) cells_before.select(time_dim, t + 1).copy_(cell);
  }
  return {gates, cells_before, new_cells.tanh_()};
}

// What is widened runs in fp32 as a whole, where oneDNN multiplies faster than step by step; it has no
// projection.
bool in_one_go(const Tensor& x, const Weights& weights) {
  return cpu_math::widens(x.scalar_type()) && !weights.w_hr.defined();
}

LstmLayer widened(const Tensor& x, const Tensor& h0, const Tensor& c0, const Weights& weights,
                  std::int64_t time_dim) {
  const auto wide = [](const Tensor& tensor) { return tensor.to(at::kFloat).contiguous(); };
  const auto bias = [&](const Tensor& tensor) {
    return tensor.defined() ? wide(tensor) : at::zeros({weights.w_hh.size(0)}, at::kFloat);
  };
  return {wide(time_dim == 1 ? x.transpose(0, 1) : x),
          wide(h0),
          wide(c0),
          wide(weights.w_ih),
          wide(weights.w_hh),
          bias(weights.b_ih),
          bias(weights.b_hh)};
}

struct LstmFunction : torch::autograd::Function<LstmFunction> {
  // x: [time, batch, size], or [batch, time, size] with time_dim 1. Returns the outputs in the same
  // order, h_n and c_n.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& h0,
                               const Tensor& c0, at::TensorList list, bool has_biases,
                               std::int64_t time_dim) {
    const auto weights = weights_of(list, has_biases);
    const auto outputs = at::empty({x.size(0), x.size(1), h0.size(1)}, x.options());
    const auto [h, c] = in_one_go(x, weights) ? wide_steps(x, h0, c0, weights, time_dim, outputs)
                                              : each_step(x, h0, c0, weights, time_dim, outputs);
    variable_list saved = {x, h0, c0, outputs};
    saved.insert(saved.end(), list.begin(), list.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["has_biases"] = has_biases;
    ctx->saved_data["time_dim"] = time_dim;
    return {outputs, h, c.to(x.scalar_type())};
  }

  // Write `outputs`; return h_n and c_n.
  static std::pair<Tensor, Tensor> wide_steps(const Tensor& x, const Tensor& h0, const Tensor& c0,
                                              const Weights& weights, std::int64_t time_dim,
                                              const Tensor& outputs) {
    const auto results = fp32_lstm_layer(widened(x, h0, c0, weights, time_dim));
    outputs.copy_(time_dim == 1 ? results.output.transpose(0, 1) : results.output);
    return {results.h.to(x.scalar_type()), results.c};
  }
  static std::pair<Tensor, Tensor> each_step(const Tensor& x, const Tensor& h0, const Tensor& c0,
                                             const Weights& weights, std::int64_t time_dim,
                                             const Tensor& outputs) {
    const auto of_inputs = gates_of_inputs(x, weights);
    const auto recurrent = to_multiply(weights.w_hh).t();
    const auto projection = weights.w_hr.defined() ? to_multiply(weights.w_hr).t() : Tensor();
    auto cell = c0.to(at::kFloat);
    auto before = h0;
    for (std::int64_t t = 0; t < x.size(time_dim); ++t) {
      const auto gates =
          product_plus(of_inputs.select(time_dim, t), to_multiply(before), recurrent);
      activate(gates);
      const auto gate = parts(gates);
      cell = next_cell(cell, gate);
      auto output = cell.tanh().mul_(gate[3]);
      if (projection.defined())
        output = product(to_multiply(output.to(x.scalar_type())), projection);
      before = outputs.select(time_dim, t);
      before.copy_(output);
    }
    return {before.clone(), cell};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
    const auto saved = ctx->get_saved_variables();
    const bool has_biases = ctx->saved_data["has_biases"].toBool();
    const auto time_dim = ctx->saved_data["time_dim"].toInt();
    auto result = c10::GradMode::is_enabled() ? recorded(saved, gradients, has_biases, time_dim)
                                              : computed(saved, gradients, has_biases, time_dim);
    result.resize(result.size() + 2);  // has_biases, time_dim
    return result;
  }

  static variable_list computed(const variable_list& saved, const variable_list& gradients,
                                bool has_biases, std::int64_t time_dim) {
    const auto &x = saved[0], &h0 = saved[1], &c0 = saved[2], &outputs = saved[3];
    const auto weights = weights_of(at::TensorList(saved).slice(4), has_biases);
    if (in_one_go(x, weights)) return wide_gradients(saved, gradients, weights, time_dim);
    const auto before = previous(h0, outputs, time_dim);
    const auto steps = computed_again(x, before, c0, weights, time_dim);
    const auto factors = factors_of(steps);
    const auto hidden = c0.size(1);
    const auto forget = parts(steps.gates)[1];
    const auto recurrent = to_multiply(weights.w_hh);
    const auto projection = weights.w_hr.defined() ? to_multiply(weights.w_hr) : Tensor();
    // Both are written step by step, in the dtype that they are multiplied in.
    const auto of_gates = at::empty({x.size(0), x.size(1), 4 * hidden}, recurrent.options());
    const auto of_outputs =
        projection.defined() ? at::empty(outputs.sizes(), recurrent.options()) : Tensor();
    const auto or_zeros = [&](const Tensor& gradient, const Tensor& like) {
      return gradient.defined() ? gradient.to(at::kFloat) : at::zeros_like(like, at::kFloat);
    };
    auto of_before = or_zeros(gradients[1], h0);
    auto of_cell = or_zeros(gradients[2], c0);
    for (std::int64_t t = x.size(time_dim) - 1; t >= 0; --t) {
      const auto at_t = [&](const Tensor& tensor) { return tensor.select(time_dim, t); };
      auto of_output = gradients[0].defined() ? of_before + at_t(gradients[0]) : of_before;
      if (projection.defined()) {
        at_t(of_outputs).copy_(of_output);
        of_output = product(at_t(of_outputs), projection).to(at::kFloat);
      }
      of_cell = of_cell.addcmul(of_output, at_t(factors.cell_of_output));
      const auto step = at_t(of_gates);
      step.narrow(1, 0, 3 * hidden).copy_(of_cell.repeat({1, 3}).mul_(at_t(factors.gates_of_cell)));
      step.narrow(1, 3 * hidden, hidden).copy_(of_output * at_t(factors.o_of_output));
      of_cell.mul_(at_t(forget));
      of_before = product(step, recurrent).to(at::kFloat);
    }
    const auto dtype = x.scalar_type();
    const auto transposed = rows(of_gates).t();
    variable_list result = {
        product(rows(of_gates), to_multiply(weights.w_ih)).view(x.sizes()).to(dtype),
        of_before.to(dtype), of_cell.to(dtype), product(transposed, rows(to_multiply(x))).to(dtype),
        product(transposed, rows(to_multiply(before))).to(dtype)};
    if (has_biases) {
      const auto of_bias = rows(of_gates).sum(0, false, at::kFloat).to(dtype);
      result.push_back(of_bias);
      result.push_back(of_bias);
    }
    if (projection.defined()) {
      const auto unprojected = steps.tanh_cells * parts(steps.gates)[3];
      result.push_back(
          product(rows(of_outputs).t(), rows(to_multiply(unprojected.to(dtype)))).to(dtype));
    }
    return result;
  }

  static variable_list wide_gradients(const variable_list& saved, const variable_list& gradients,
                                      const Weights& weights, std::int64_t time_dim) {
    const auto &x = saved[0], &h0 = saved[1], &c0 = saved[2];
    const auto in_time = [&](const Tensor& tensor) {
      return tensor.defined() && time_dim == 1 ? tensor.transpose(0, 1) : tensor;
    };
    const auto found = fp32_lstm_layer_backward(
        widened(x, h0, c0, weights, time_dim), {in_time(gradients[0]), gradients[1], gradients[2]});
    variable_list result = {in_time(found.x), found.h0, found.c0, found.w_ih, found.w_hh};
    if (weights.b_ih.defined()) result.insert(result.end(), {found.bias, found.bias});
    for (auto& gradient : result) gradient = gradient.to(x.scalar_type());
    return result;
  }

  // With ops that autograd differentiates again: the layer once more, in fp32.
  static variable_list recorded(const variable_list& saved, const variable_list& gradients,
                                bool has_biases, std::int64_t time_dim) {
    variable_list inputs = {saved[0], saved[1], saved[2]};
    inputs.insert(inputs.end(), saved.begin() + 4, saved.end());
    std::vector<Tensor> wide;
    for (const auto& input : inputs) wide.push_back(input.to(at::kFloat));
    const auto weights = weights_of(at::TensorList(wide).slice(3), has_biases);
    auto before = wide[1], cell = wide[2];
    std::vector<Tensor> outputs;
    for (const auto& x : wide[0].unbind(time_dim)) {
      const auto gates = at::linear(x, weights.w_ih, weights.b_ih) +
                         at::linear(before, weights.w_hh, weights.b_hh);
      const auto gate = parts(gates);
      cell = gate[1].sigmoid() * cell + gate[0].sigmoid() * gate[2].tanh();
      before = gate[3].sigmoid() * cell.tanh();
      if (weights.w_hr.defined()) before = at::linear(before, weights.w_hr);
      outputs.push_back(before);
    }
    const variable_list results = {at::stack(outputs, time_dim), before, cell};
    variable_list of_results, needed, differentiated;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!gradients[i].defined()) continue;
      differentiated.push_back(results[i]);
      of_results.push_back(gradients[i].to(at::kFloat));
    }
    for (const auto& input : inputs) {
      if (input.requires_grad()) needed.push_back(input);
    }
    const auto found =
        torch::autograd::grad(differentiated, needed, of_results, /*retain_graph=*/true,
                              /*create_graph=*/true, /*allow_unused=*/true);
    variable_list all;
    auto next = found.begin();
    for (const auto& input : inputs) all.push_back(input.requires_grad() ? *next++ : Tensor());
    return all;
  }
};

}  // namespace

std::array<Tensor, 3> lstm_layer(const Tensor& x, const Tensor& h0, const Tensor& c0,
                                 at::TensorList weights, bool has_biases, std::int64_t time_dim) {
  const auto results = LstmFunction::apply(x, h0, c0, weights, has_biases, time_dim);
  return {results[0], results[1], results[2]};
}

}  // namespace amp::ops
