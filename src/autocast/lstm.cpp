// LSTM layers in low precision that keep nothing but their inputs and outputs.
#include "src/autocast/lstm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "src/autocast/cast_cache.h"
#include "src/cpu_math/engines.h"
#include "src/cpu_math/fp32_lstm.h"
#include "src/cpu_math/switches.h"

namespace amp::autocast {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A layer's weights in the order of at::lstm: w_ih [4 hidden, size], w_hh [4 hidden, output], then
// b_ih and b_hh [4 hidden] and the projection [output, hidden] if there are such.
struct Weights {
  Tensor w_ih, w_hh, b_ih, b_hh, w_hr;
};

Weights weights_of(at::TensorList list, bool has_biases) {
  Weights weights = {list[0], list[1], {}, {}, {}};
  if (has_biases) {
    weights.b_ih = list[2];
    weights.b_hh = list[3];
  }
  if (list.size() % 2 == 1) weights.w_hr = list.back();
  return weights;
}

// What products are computed in: fp32 where this processor has no arithmetic for the dtype.
Tensor to_multiply(const Tensor& tensor) {
  return cpu_math::widens(tensor.scalar_type()) ? tensor.to(at::kFloat) : tensor;
}

Tensor rows(const Tensor& tensor) { return tensor.flatten(0, 1); }

// a b + bias: fp32 operands are widened ones, whose engine is ours to choose. Not for autograd.
Tensor product(const Tensor& a, const Tensor& b, const Tensor& bias = {}) {
  if (a.scalar_type() == at::kFloat) return cpu_math::fast_product(a, b, bias);
  return bias.defined() ? at::addmm(bias, a, b) : at::mm(a, b);
}

// a b + self, of the same sizes, in fp32. The engines add no matrix on the way.
Tensor product_plus(const Tensor& self, const Tensor& a, const Tensor& b) {
  if (a.scalar_type() == at::kFloat) return product(a, b).add_(self);
  return at::addmm(self, a, b).to(at::kFloat);
}

// The part of every step's gates that needs no other step: x W_ih^T + b_ih + b_hh.
Tensor gates_of_inputs(const Tensor& x, const Weights& weights) {
  auto bias = weights.b_ih;
  if (bias.defined()) bias = to_multiply(bias) + to_multiply(weights.b_hh);
  return product(rows(to_multiply(x)), to_multiply(weights.w_ih).t(), bias)
      .view({x.size(0), x.size(1), -1});
}

// i, f, g, o of gates [..., 4 hidden], as views.
std::vector<Tensor> parts(const Tensor& gates) { return gates.chunk(4, -1); }

// In place; i and f lie side by side.
void activate(const Tensor& gates) {
  const auto hidden = gates.size(-1) / 4;
  gates.narrow(-1, 0, 2 * hidden).sigmoid_();
  gates.narrow(-1, 2 * hidden, hidden).tanh_();
  gates.narrow(-1, 3 * hidden, hidden).sigmoid_();
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

// What the backward pass computes again, in fp32 and for all steps: [.., 4 hidden] and [.., hidden].
struct Steps {
  Tensor gates, cells_before, tanh_cells;
};

Steps computed_again(const Tensor& x, const Tensor& before, const Tensor& c0,
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

// Through which factor the gradient of an output or of a cell reaches what the gates were made of.
struct Factors {
  Tensor cell_of_output;  // o (1 - tanh(c)^2)
  Tensor gates_of_cell;   // of i, f and g: [.., 3 hidden]
  Tensor o_of_output;     // tanh(c) o (1 - o)
};

Factors factors_of(const Steps& steps) {
  const auto gate = parts(steps.gates);
  const auto &i = gate[0], &f = gate[1], &g = gate[2], &o = gate[3];
  return {(1 - steps.tanh_cells.square()).mul_(o),
          at::cat({g * i * (1 - i), steps.cells_before * f * (1 - f), i * (1 - g.square())}, -1),
          (steps.tanh_cells * o).mul_(1 - o)};
}

// What is widened runs in fp32 as a whole, where oneDNN multiplies faster than step by step; it has no
// projection.
bool in_one_go(const Tensor& x, const Weights& weights) {
  return cpu_math::widens(x.scalar_type()) && !weights.w_hr.defined();
}

cpu_math::LstmLayer widened(const Tensor& x, const Tensor& h0, const Tensor& c0,
                            const Weights& weights, std::int64_t time_dim) {
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

struct Layer : torch::autograd::Function<Layer> {
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
    const auto results = cpu_math::lstm_layer(widened(x, h0, c0, weights, time_dim));
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
    const auto found = cpu_math::lstm_layer_backward(
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

bool takes_lstm(const Tensor& input, at::TensorList states, at::TensorList weights,
                const Lstm& options) {
  if (options.bidirectional || input.dim() != 3 || input.numel() == 0 || states.size() != 2)
    return false;
  const bool projects = states[0].dim() == 3 && states[0].size(-1) != states[1].size(-1);
  const auto count = 2 + (options.has_biases ? 2 : 0) + (projects ? 1 : 0);
  if (options.layers < 1 || static_cast<std::int64_t>(weights.size()) != options.layers * count)
    return false;
  const auto batch = input.size(options.batch_first ? 0 : 1);
  const auto fits = [&](const Tensor& state) {
    return state.dim() == 3 && state.size(0) == options.layers && state.size(1) == batch;
  };
  const auto plain = [](const Tensor& tensor) {
    return tensor.is_cpu() && is_plain(tensor) && tensor.is_floating_point() &&
           tensor.scalar_type() != at::kDouble;
  };
  return plain(input) && std::ranges::all_of(states, fits) && std::ranges::all_of(states, plain) &&
         std::ranges::all_of(weights, plain) && weights[0].dim() == 2 &&
         weights[0].size(1) == input.size(2);
}

std::tuple<Tensor, Tensor, Tensor> lstm(const Tensor& input, at::TensorList states,
                                        at::TensorList weights, const Lstm& options) {
  const auto count = weights.size() / static_cast<std::size_t>(options.layers);
  std::vector<Tensor> last_outputs, last_cells;
  auto x = input;
  for (std::int64_t layer = 0; layer < options.layers; ++layer) {
    const auto results = Layer::apply(x, states[0].select(0, layer), states[1].select(0, layer),
                                      weights.slice(static_cast<std::size_t>(layer) * count, count),
                                      options.has_biases, options.batch_first ? 1 : 0);
    x = results[0];
    last_outputs.push_back(results[1]);
    last_cells.push_back(results[2]);
    const bool drops = options.dropout > 0 && options.train && layer + 1 < options.layers;
    if (drops) x = at::dropout(x, options.dropout, true);
  }
  return {x, at::stack(last_outputs), at::stack(last_cells)};
}

}  // namespace amp::autocast
