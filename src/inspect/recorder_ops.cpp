// What a recorded step notes of an op that is done.
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "src/inspect/deviation.h"
#include "src/inspect/frame.h"
#include "src/inspect/quiet.h"
#include "src/inspect/recorder.h"
#include "src/inspect/targets.h"
#include "src/inspect/widen.h"

namespace amp::inspect {
namespace {

// A model that goes wrong can do so in every op: enough of them to find the first.
constexpr int kEvaluations = 64;
// Of an output's numbers, from which on it is looked what fp32 would have kept.
constexpr double kSuspicious = 0.1;

bool has_dense_numbers(const at::Tensor& tensor) {
  return has_numbers(tensor) && !tensor.is_sparse();
}

std::vector<at::Tensor> tensors_among(c10::ArrayRef<c10::IValue> values) {
  std::vector<at::Tensor> found;
  for_each_tensor(values, [&](const at::Tensor& tensor) { found.push_back(tensor); });
  return found;
}

std::vector<at::Tensor> numbers_among(c10::ArrayRef<c10::IValue> values) {
  auto found = tensors_among(values);
  std::erase_if(found, [](const at::Tensor& tensor) { return !has_dense_numbers(tensor); });
  return found;
}

bool share_memory(const at::Tensor& a, const at::Tensor& b) {
  return a.has_storage() && b.has_storage() &&
         a.storage().unsafeGetStorageImpl() == b.storage().unsafeGetStorageImpl();
}

bool is_view(const Frame& frame, const std::vector<at::Tensor>& outputs) {
  if (frame.self.defined()) return false;
  bool all = true;
  for (const auto& output : outputs) {
    bool found = false;
    for_each_tensor(frame.inputs,
                    [&](const at::Tensor& input) { found |= share_memory(input, output); });
    all &= found;
  }
  return all && !writes_self(frame.op) && !frame.op.ends_with("out");
}

bool has_non_finite_scalar(const std::vector<c10::IValue>& inputs) {
  return std::ranges::any_of(inputs, [](const c10::IValue& value) {
    return value.isDouble() && !std::isfinite(value.toDouble());
  });
}

bool has_tensors(const std::vector<c10::IValue>& inputs) {
  bool any = false;
  for_each_tensor(inputs, [&](const at::Tensor&) { any = true; });
  return any;
}

// A number in the backward pass is how many targets a mean was over, or the like, and no gradient to be
// looked at; but what is not finite must be found.
bool is_count(const std::vector<at::Tensor>& outputs, const TensorSummary& summary) {
  return outputs.size() == 1 && outputs.front().numel() == 1 && summary.finite();
}

bool is_cast(const Frame& frame) { return frame.op == "_to_copy" || frame.op == "clone"; }

}  // namespace

std::string Recorder::module_of(const Frame& frame) const {
  return frame.module < 0 ? "" : names_.modules()[static_cast<std::size_t>(frame.module)].name;
}

// What is there before the first op that reads it: data, or what an op made that was not seen.
Origin Recorder::origin_of(const at::Tensor& tensor) {
  if (const auto* known = origins_.find(tensor)) return *known;
  Origin origin;
  const auto statistics = amp::statistics(tensor);
  origin.take(statistics);
  origin.constant = tensor.dim() == 0 && !origin.finite();
  // The copies of weights that an optimizer writes are made by no op of the step.
  if (const int parameter = names_.parameter_of(tensor); parameter >= 0) {
    const auto& weight = parameters_[static_cast<std::size_t>(parameter)].weight;
    origin.parameter = parameter;
    origin.overflowed_copy = weight.finite() && !origin.finite();
    if (origin.overflowed_copy) origin.amax = weight.statistics.amax;
  }
  return origins_.set(tensor, origin);
}

void Recorder::take_inputs(const Frame& frame, const std::vector<at::Tensor>& outputs,
                           OpRecord& record, TraceNode& node) {
  std::size_t place = 0;
  for_each_tensor(frame.inputs, [&](const at::Tensor& tensor) {
    const bool is_self = place++ == 0 && frame.self.defined();
    if (place == 1 && ignores_self(frame.op)) return;
    if (!has_numbers(tensor) || tensor.is_sparse()) return;
    const auto& given = is_self ? frame.self : tensor;
    const bool is_written = !is_self && std::ranges::any_of(outputs, [&](const auto& output) {
      return share_memory(output, tensor);
    });
    if (is_written) return;  // out=
    auto origin = origin_of(given);
    // Of a part of what is not all finite, its own numbers count.
    if (!origin.finite() && (tensor.is_view() || origin.partial)) origin.take(statistics(tensor));
    record.input_amax = std::max(record.input_amax, origin.amax);
    if (!origin.finite()) node.bad_inputs.push_back(origin);
  });
  record.inputs_finite = node.bad_inputs.empty();
}

// The scalar that a forward pass ends with is its loss.
void Recorder::look_at_scalar(const Frame& frame, const at::Tensor& output, TraceNode& node) {
  const double value = output.detach().to(c10::kDouble).item<double>();
  if (frame.op == "mul" && loss_scale_ != 1 && scalar_.has_value()) {
    for_each_tensor(frame.inputs, [&](const at::Tensor& input) {
      if (input.numel() == 1 && input.is_floating_point() && !input.requires_grad())
        node.is_loss_scaling |= input.to(c10::kDouble).item<double>() == loss_scale_;
    });
  }
  if (!node.is_loss_scaling) scalar_ = value;
  last_scalar_ = static_cast<int>(trace_.ops.size());
}

void Recorder::look_wider(const at::RecordFunction& function, const Frame& frame,
                          const std::vector<at::Tensor>& outputs, OpRecord& record,
                          TraceNode& node) {
  const auto name = function.operator_name();
  if (!name.has_value()) return;
  const auto dtype = outputs.front().scalar_type();
  // Also of what is not finite only because of a mask: a softmax over nothing but -inf.
  const bool is_born =
      !record.output.finite() && std::ranges::all_of(node.bad_inputs, &Origin::constant);
  if (is_born && evaluations_ < kEvaluations) {
    ++evaluations_;
    const auto wide = evaluate_wide(*name, frame.inputs, with_more_range(dtype));
    node.evaluated = wide.evaluated;
    node.finite_in_wide = wide.finite;
    node.wide_amax = wide.amax;
    return;
  }
  if (dtype != c10::kHalf || record.pass != Pass::backward || options_.flush_every == 0) return;
  const auto& seen = record.output.statistics;
  if (!record.output.finite() || seen.total == 0 || outputs.size() != 1) return;
  const double zeros = static_cast<double>(seen.zeros) / static_cast<double>(seen.total);
  double subnormal = 0;
  for (const auto& rates : record.output.formats) {
    if (rates.format == Format::fp16) subnormal = rates.underflow();
  }
  if (zeros + subnormal < kSuspicious) return;
  const auto [looked, is_first] =
      looked_wide_.try_emplace({record.module, record.op}, recorded_steps_);
  if (!is_first && recorded_steps_ - looked->second < options_.flush_every &&
      recorded_steps_ != looked->second)
    return;
  looked->second = recorded_steps_;
  const auto wide = evaluate_wide(*name, frame.inputs, c10::kFloat);
  if (!wide.evaluated || wide.outputs.size() != 1) return;
  record.flushed_in_fp32 = flushed_share(outputs.front(), wide.outputs.front());
  if (record.flushed_in_fp32 > flushed_.share)
    flushed_ = {record.flushed_in_fp32, wide.amax, record.called_as, record.module};
}

void Recorder::end_leaf(const at::RecordFunction& function, Frame& frame) {
  const Quiet quiet;
  const auto outputs = numbers_among(function.outputs());
  if (outputs.empty() || is_view(frame, outputs) || leaves_unset(frame.op)) return;
  OpRecord record;
  TraceNode node;
  const auto* node_frame = frame.root->outer;  // of a backward op
  const bool in_node = frame.is_backward && node_frame != nullptr;
  record.op = in_node ? node_frame->op : frame.op;
  record.called_as = in_node ? node_frame->called_as : frame.root->op;
  record.pass = frame.is_backward ? Pass::backward : Pass::forward;
  record.module = module_of(frame);
  record.in_cast = in_node
                       ? node_frame->in_cast
                       : frame.op == "_to_copy" && frame.root != &frame && frame.root->op != "to";
  record.dtype = dtype_name(outputs.front().scalar_type());
  node.parameter = frame.parameter;
  take_inputs(frame, outputs, record, node);

  std::vector<TensorStatistics> each;
  for (const auto& output : outputs) {
    const auto summary = summary_of(output, summary_options_);
    each.push_back(summary.statistics);
    record.output.add(summary);
  }
  node.nan = record.output.statistics.nans > 0;
  node.inf = record.output.statistics.infs > 0;
  const bool from_masks =
      !node.bad_inputs.empty() && std::ranges::all_of(node.bad_inputs, &Origin::constant);
  node.constant = !record.output.finite() && !node.nan &&
                  (from_masks || (node.bad_inputs.empty() && has_non_finite_scalar(frame.inputs)));
  const bool computes = has_tensors(frame.inputs) && !sets_constant(frame.op) &&
                        !(in_node && is_count(outputs, record.output));
  if (computes) {
    look_wider(function, frame, outputs, record, node);
    const auto& first = outputs.front();
    // nll_loss gives the loss first and then the weight of its targets.
    if (record.pass == Pass::forward && first.numel() == 1 && first.requires_grad())
      look_at_scalar(frame, first, node);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Origin origin{.op = computes ? static_cast<int>(trace_.ops.size()) : -1};
    origin.take(each[i]);
    origin.constant = computes ? node.constant : !origin.finite();
    const auto* before = origins_.find(outputs[i]);
    if (before != nullptr && outputs[i].nbytes() < outputs[i].storage().nbytes())
      origin.keep(*before);
    origins_.set(outputs[i], origin);
  }
  if (frame.parameter >= 0 && is_cast(frame) && outputs.size() == 1)
    names_.note_cast(outputs.front(), frame.parameter);
  if (!computes) return;
  trace_.ops.push_back(std::move(record));
  trace_.nodes.push_back(std::move(node));
}

// Of the op that the model called, with what the model gave it: what autocast made of that in between is
// a part of the deviation.
void Recorder::compare_in_fp32(const at::RecordFunction& function, const Frame& frame) {
  const bool has_dtype = *options_.shadow == Format::fp16 || *options_.shadow == Format::bf16;
  if (frame.draws_random || (has_dtype && !frame.in_low_precision)) return;
  const auto name = function.operator_name();
  if (!name.has_value() || !has_tensors(frame.inputs) || sets_constant(frame.op) ||
      leaves_unset(frame.op) || moves_nothing(frame.op))
    return;
  const Quiet quiet;
  const auto outputs = tensors_among(function.outputs());
  if (std::ranges::none_of(outputs, has_dense_numbers) || is_view(frame, outputs)) return;
  const auto wide = evaluate_wide(*name, frame.inputs, c10::kFloat);
  if (!wide.evaluated || wide.outputs.size() != outputs.size()) return;

  const auto* node = frame.outer;  // of a backward op
  const bool in_node = frame.is_backward && node != nullptr;
  ShadowRecord record;
  record.op = in_node ? node->called_as : frame.op;
  record.pass = frame.is_backward ? Pass::backward : Pass::forward;
  record.module = module_of(frame);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& own = outputs[i];
    if (!has_dense_numbers(own) || own.sizes() != wide.outputs[i].sizes()) continue;
    if (record.dtype.empty()) record.dtype = dtype_name(own.scalar_type());
    record.deviation.add(deviation_of(own, wide.outputs[i], *options_.shadow));
  }
  shadows_.push_back(std::move(record));
}

void Recorder::after(const at::RecordFunction& function, Frame& frame) {
  const bool has_shadow = options_.shadow.has_value();
  if (frame.is_node || (frame.has_children && !has_shadow)) return;
  const std::lock_guard lock(mutex_);
  if (function.outputs().empty()) return;  // or it threw
  if (!frame.has_children) end_leaf(function, frame);
  if (!has_shadow) return;
  frame.root->in_low_precision |= any_in_low_precision(function.outputs());
  if (frame.root == &frame) compare_in_fp32(function, frame);
}

void Recorder::on_gradient(int parameter, const at::Tensor& gradient) {
  if (!has_numbers(gradient)) return;
  const Quiet quiet;
  const std::lock_guard lock(mutex_);
  auto& record = parameters_[static_cast<std::size_t>(parameter)];
  const auto summary = summary_of(gradient, summary_options_);
  record.gradient.add(summary);
  const auto number = static_cast<std::size_t>(parameter);
  if (number < expected_.size() && has_dense_numbers(gradient) && expected_[number].defined()) {
    record.deviation.add(deviation_of(gradient, expected_[number],
                                      options_.shadow.value_or(Format::fp32), loss_scale_));
    expected_[number].reset();
  }
  if (record.gradients++ > 0 || summary.finite()) {
    if (summary.finite()) return;
    if (std::ranges::find(trace_.bad_gradients, parameter) != trace_.bad_gradients.end()) return;
  }
  trace_.bad_gradients.push_back(parameter);
  const auto* origin = gradient.is_sparse() ? nullptr : origins_.find(gradient);
  trace_.gradient_origins.push_back(origin == nullptr ? Origin{} : *origin);
}

void Recorder::check_targets(const Frame& frame) {
  if (trace_.target.has_value()) return;
  const Quiet quiet;
  auto wrong = target_out_of_range(frame.op, frame.inputs);
  if (!wrong.has_value()) return;
  FirstNonFinite found;
  found.origin = FirstNonFinite::Origin::target;
  found.op = frame.op;
  found.called_as = frame.root->op;
  found.module = module_of(frame);
  found.input_amax = wrong->value;
  found.detail = std::move(wrong->text);
  trace_.target = std::move(found);
}

}  // namespace amp::inspect
