// The way back from what is not finite to where it was born.
#include "src/inspect/trace.h"

#include <algorithm>

namespace amp::inspect {
namespace {

const TraceNode& node_of(const Trace& trace, int op) {
  return trace.nodes[static_cast<std::size_t>(op)];
}

// The input that is to blame for an op's output; null if the op itself is.
//
// A NaN comes from a NaN, or from an Inf that overflowed somewhere. If every Inf is a mask (the
// -inf of masked scores, for example), the op itself made the NaN.
const Origin* blamed_input(const TraceNode& node) {
  const auto& bad = node.bad_inputs;
  const auto has_nan = std::ranges::find_if(bad, &Origin::nan);
  if (node.nan && has_nan != bad.end()) return &*has_nan;
  const auto unmasked = std::ranges::find_if(bad, [](const auto& o) { return !o.constant; });
  if (unmasked != bad.end()) return &*unmasked;
  return node.nan || bad.empty() ? nullptr : &bad.front();
}

void take_op(FirstNonFinite& found, const Trace& trace, int op,
             const std::vector<std::string>& names) {
  const auto& record = trace.ops[static_cast<std::size_t>(op)];
  const auto& node = node_of(trace, op);
  found.pass = record.pass;
  found.op = record.op;
  found.called_as = record.called_as;
  found.module = record.module;
  found.dtype = record.dtype;
  found.input_amax = record.input_amax;
  found.output_amax = record.output.statistics.amax;
  found.inputs_finite = record.inputs_finite;
  found.in_cast = record.in_cast;
  found.evaluated = node.evaluated;
  found.finite_in_wide = node.finite_in_wide;
  found.wide_amax = node.wide_amax;
  found.place = node.place;
  found.is_loss_scaling = node.is_loss_scaling;
  found.parameter =
      node.parameter >= 0 ? names[static_cast<std::size_t>(node.parameter)] : std::string();
}

// The op whose name is that of a loss, or else the last op before the loss scale.
int loss_on(const std::vector<int>& path, const Trace& trace) {
  const auto is_loss = [&](int op) {
    const auto& name = trace.ops[static_cast<std::size_t>(op)].called_as;
    return name.find("loss") != std::string::npos || name.find("entropy") != std::string::npos;
  };
  const auto loss = std::ranges::find_if(path, is_loss);
  if (loss != path.end()) return *loss;
  const auto unscaled =
      std::ranges::find_if(path, [&](int op) { return !node_of(trace, op).is_loss_scaling; });
  return unscaled == path.end() ? path.front() : *unscaled;
}

FirstNonFinite walk_back(const Trace& trace, int op, const std::vector<std::string>& names) {
  FirstNonFinite found;
  std::vector<int> path;
  while (true) {
    path.push_back(op);
    take_op(found, trace, op, names);
    const auto* input = blamed_input(node_of(trace, op));
    if (input == nullptr) return found;
    if (input->overflowed_copy) {
      found.parameter = names[static_cast<std::size_t>(input->parameter)];
      found.in_cast = found.evaluated = found.finite_in_wide = found.inputs_finite = true;
      found.wide_amax = input->amax;
      return found;
    }
    if (input->op < 0 && input->parameter < 0 && input->constant && !input->nan) {
      // The model put the Inf there on purpose, as a mask, but nothing masked it on the way to the
      // loss.
      take_op(found, trace, loss_on(path, trace), names);
      found.evaluated = true;
      found.finite_in_wide = false;
      return found;
    }
    if (input->op < 0) {
      found.origin =
          input->parameter >= 0 ? FirstNonFinite::Origin::parameter : FirstNonFinite::Origin::data;
      if (input->parameter >= 0)
        found.parameter = names[static_cast<std::size_t>(input->parameter)];
      found.detail = input->nan ? "NaN" : "Inf";
      return found;
    }
    op = input->op;  // an earlier one
  }
}

bool is_bad(const Trace& trace, int op) {
  const auto& node = node_of(trace, op);
  return node.nan || node.inf;
}

// The first op of the backward pass whose result is not finite. It is used where the gradient's own
// memory does not lead to an op.
int first_in_backward(const Trace& trace) {
  for (std::size_t i = 0; i < trace.ops.size(); ++i) {
    const bool born = is_bad(trace, static_cast<int>(i)) && trace.nodes[i].bad_inputs.empty();
    if (born && trace.ops[i].pass == Pass::backward) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

std::optional<FirstNonFinite> hidden_overflow(const Trace& trace,
                                              const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < trace.ops.size(); ++i) {
    const auto& node = trace.nodes[i];
    const bool overflowed = node.inf && !node.constant && node.bad_inputs.empty() &&
                            node.evaluated && node.finite_in_wide;
    if (!overflowed || trace.ops[i].pass != Pass::forward || node.is_loss_scaling) continue;
    FirstNonFinite found;
    take_op(found, trace, static_cast<int>(i), names);
    return found;
  }
  return std::nullopt;
}

std::optional<FirstNonFinite> first_non_finite(const Trace& trace,
                                               const std::vector<std::string>& names) {
  if (trace.target.has_value()) return trace.target;
  for (const int loss : trace.losses) {
    if (is_bad(trace, loss)) return walk_back(trace, loss, names);
  }
  const auto is_backward = [](const OpRecord& op) { return op.pass == Pass::backward; };
  if (trace.losses.empty() && !trace.ops.empty() &&
      std::ranges::none_of(trace.ops, is_backward)) {  // a forward pass alone
    const int last = static_cast<int>(trace.ops.size()) - 1;
    const bool is_wrong = is_bad(trace, last) && !node_of(trace, last).constant;  // no mask
    return is_wrong ? std::optional(walk_back(trace, last, names)) : std::nullopt;
  }
  if (trace.bad_gradients.empty()) return std::nullopt;

  const int op = trace.gradient_origins.front().op >= 0 ? trace.gradient_origins.front().op
                                                        : first_in_backward(trace);
  FirstNonFinite found;
  if (op >= 0 && is_bad(trace, op)) {
    found = walk_back(trace, op, names);
  } else {
    found.origin = FirstNonFinite::Origin::gradient;
    found.pass = Pass::backward;
  }
  for (const int parameter : trace.bad_gradients)
    found.culprits.push_back(names[static_cast<std::size_t>(parameter)]);
  if (found.parameter.empty()) found.parameter = found.culprits.front();
  return found;
}

}  // namespace amp::inspect
