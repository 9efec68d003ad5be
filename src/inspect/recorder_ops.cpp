// What a recorded step notes of an op that is done.
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>

#include "src/inspect/deviation.h"
#include "src/inspect/frame.h"
#include "src/inspect/quiet.h"
#include "src/inspect/recorder.h"
#include "src/inspect/widen.h"

namespace amp::inspect {
namespace {

// A model can go wrong in every op. So many are computed again; that is enough to find the first.
constexpr int kEvaluations = 64;
// If at least this share of an output is zero or subnormal, fp32 is asked what it would have kept.
constexpr double kSuspicious = 0.1;

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

// A single finite number in the backward pass is a count, such as the number of targets of a mean,
// and no gradient. One that is not finite must be found.
bool is_count(const std::vector<at::Tensor>& outputs, const TensorSummary& summary) {
  return outputs.size() == 1 && outputs.front().numel() == 1 && summary.finite();
}

bool is_cast(const Frame& frame) { return frame.op == "_to_copy" || frame.op == "clone"; }

}  // namespace

std::string Recorder::module_of(const Frame& frame) const {
  return frame.module < 0 ? "" : names_.modules()[static_cast<std::size_t>(frame.module)].name;
}

// Where a tensor came from before the first op that reads it: it is data, or an unseen op made it.
Origin Recorder::origin_of(const at::Tensor& tensor) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto* known = origins_.find(tensor)) return *known;
  }
  Origin origin;
  origin.take(amp::statistics(tensor));
  origin.constant = tensor.dim() == 0 && !origin.finite();
  const std::lock_guard lock(mutex_);
  if (slot_ < 0) return origin;
  // No op of the step makes the copies of weights that an optimizer writes.
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
    if (!has_dense_numbers(tensor)) return;
    const auto& given = is_self ? frame.self : tensor;
    const bool is_written = !is_self && std::ranges::any_of(outputs, [&](const auto& output) {
      return share_memory(output, tensor);
    });
    if (is_written) return;  // out=
    auto origin = origin_of(given);
    // If the memory is not all finite and the tensor is a part of it, the tensor's own numbers
    // count.
    if (!origin.finite() && (tensor.is_view() || origin.partial)) origin.take(statistics(tensor));
    record.input_amax = std::max(record.input_amax, origin.amax);
    if (!origin.finite()) node.bad_inputs.push_back(origin);
  });
  record.inputs_finite = node.bad_inputs.empty();
}

Recorder::Scalar Recorder::scalar_of(const Frame& frame, const at::Tensor& output) const {
  Scalar scalar{output.detach().to(c10::kDouble).item<double>()};
  if (frame.op != "mul" || loss_scale_ == 1) return scalar;
  for_each_tensor(frame.inputs, [&](const at::Tensor& input) {
    if (has_dense_numbers(input) && input.numel() == 1 && !input.requires_grad())
      scalar.by_loss_scale |= input.to(c10::kDouble).item<double>() == loss_scale_;
  });
  return scalar;
}

void Recorder::look_wider(const at::RecordFunction& function, const Frame& frame,
                          const std::vector<at::Tensor>& outputs, OpRecord& record,
                          TraceNode& node) {
  const auto name = function.operator_name();
  if (!name.has_value()) return;
  const auto dtype = outputs.front().scalar_type();
  // This includes inputs that are not finite only because of a mask: a softmax over nothing but
  // -inf.
  const bool is_born =
      !record.output.finite() && std::ranges::all_of(node.bad_inputs, &Origin::constant);
  if (is_born && evaluations_++ < kEvaluations) {
    const auto wide = evaluate_wide(*name, frame.inputs, with_more_range(dtype));
    node.evaluated = wide.evaluated;
    node.finite_in_wide = wide.finite;
    node.wide_amax = wide.amax;
    node.place = place_of_non_finite(outputs.front());
    return;
  }
  if (dtype != c10::kHalf || record.pass != Pass::backward || options_.flush_every == 0) return;
  if (outputs.size() == 1 && may_look_for_flushed(record))
    look_for_flushed(*name, frame, outputs.front(), record);
}

// Whether enough numbers are zero or subnormal, and the op was not looked at lately.
bool Recorder::may_look_for_flushed(const OpRecord& record) {
  const auto& seen = record.output.statistics;
  if (!record.output.finite() || seen.total == 0) return false;
  const double zeros = static_cast<double>(seen.zeros) / static_cast<double>(seen.total);
  double subnormal = 0;
  for (const auto& rates : record.output.formats) {
    if (rates.format == Format::fp16) subnormal = rates.underflow();
  }
  if (zeros + subnormal < kSuspicious) return false;
  const std::lock_guard lock(mutex_);
  const auto [looked, is_first] =
      looked_wide_.try_emplace({record.module, record.op}, recorded_steps_);
  if (!is_first && recorded_steps_ - looked->second < options_.flush_every &&
      recorded_steps_ != looked->second)
    return false;
  looked->second = recorded_steps_;
  return true;
}

void Recorder::look_for_flushed(const c10::OperatorName& name, const Frame& frame,
                                const at::Tensor& output, OpRecord& record) {
  const auto wide = evaluate_wide(name, frame.inputs, c10::kFloat);
  if (!wide.evaluated || wide.outputs.size() != 1 || !has_dense_numbers(wide.outputs.front()) ||
      wide.outputs.front().sizes() != output.sizes())
    return;
  record.flushed_in_fp32 = flushed_share(output, wide.outputs.front());
  const std::lock_guard lock(mutex_);
  if (record.flushed_in_fp32 > flushed_.share)
    flushed_ = {record.flushed_in_fp32, wide.amax, record.called_as, record.module};
}

void Recorder::end_leaf(const at::RecordFunction& function, Frame& frame) {
  const auto outputs = numbers_among(function.outputs());
  if (outputs.empty() || is_view(frame, outputs) || leaves_unset(frame.op)) return;
  OpRecord record;
  TraceNode node;
  const auto* node_frame = frame.root->outer;  // of a backward op
  const bool in_node = frame.is_backward && node_frame != nullptr && !node_frame->is_custom;
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
  std::optional<Scalar> scalar;
  if (computes) {
    look_wider(function, frame, outputs, record, node);
    const auto& first = outputs.front();
    // nll_loss gives the loss first and then the weight of its targets.
    if (record.pass == Pass::forward && first.numel() == 1 && first.requires_grad())
      scalar = scalar_of(frame, first);
  }
  const std::lock_guard lock(mutex_);
  if (is_over(frame.session)) return;
  note_op(frame, outputs, each, computes, scalar, std::move(record), std::move(node));
}

void Recorder::note_op(const Frame& frame, const std::vector<at::Tensor>& outputs,
                       const std::vector<TensorStatistics>& each, bool computes,
                       std::optional<Scalar> scalar, OpRecord record, TraceNode node) {
  const auto number = static_cast<int>(trace_.ops.size());
  if (scalar.has_value()) {  // the one that a forward pass ends with is its loss
    node.is_loss_scaling = scalar->by_loss_scale && scalar_.has_value();
    if (!node.is_loss_scaling) scalar_ = scalar->value;
    last_scalar_ = number;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Origin origin{.op = computes ? number : -1};
    origin.take(each[i]);
    origin.constant = computes ? node.constant : !origin.finite();
    const auto* before = origins_.find(outputs[i]);
    if (before != nullptr && outputs[i].layout() == c10::kStrided &&
        outputs[i].nbytes() < outputs[i].storage().nbytes())
      origin.keep(*before);
    origins_.set(outputs[i], origin);
  }
  if (frame.parameter >= 0 && is_cast(frame) && outputs.size() == 1)
    names_.note_cast(outputs.front(), frame.parameter);
  if (!computes) return;
  trace_.ops.push_back(std::move(record));
  trace_.nodes.push_back(std::move(node));
}

// Computes the op that the model called again in fp32, with what the model gave it. So autocast's
// casts in between are a part of the deviation.
void Recorder::compare_in_fp32(const at::RecordFunction& function, const Frame& frame) {
  const bool has_dtype =
      *options_.fp32_comparison == Format::fp16 || *options_.fp32_comparison == Format::bf16;
  if (frame.draws_random || (has_dtype && !frame.in_low_precision)) return;
  const auto name = function.operator_name();
  if (!name.has_value() || !has_tensors(frame.inputs) || sets_constant(frame.op) ||
      leaves_unset(frame.op) || moves_nothing(frame.op))
    return;
  const auto outputs = tensors_among(function.outputs());
  if (std::ranges::none_of(outputs, has_dense_numbers) || is_view(frame, outputs)) return;
  const auto wide = evaluate_wide(*name, frame.inputs, c10::kFloat);
  if (!wide.evaluated || wide.outputs.size() != outputs.size()) return;

  const auto* node = frame.outer;  // of a backward op
  const bool in_node = frame.is_backward && node != nullptr && !node->is_custom;
  Fp32Comparison record;
  record.op = in_node ? node->called_as : frame.op;
  record.pass = frame.is_backward ? Pass::backward : Pass::forward;
  record.module = module_of(frame);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto &own = outputs[i], &in_fp32 = wide.outputs[i];
    if (!has_dense_numbers(own) || !has_dense_numbers(in_fp32) || own.sizes() != in_fp32.sizes())
      continue;
    if (record.dtype.empty()) record.dtype = dtype_name(own.scalar_type());
    record.deviation.add(deviation_of(own, in_fp32, *options_.fp32_comparison));
  }
  if (record.dtype.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!is_over(frame.session)) fp32_comparisons_.push_back(std::move(record));
}

void Recorder::after(const at::RecordFunction& function, Frame& frame) {
  const Quiet quiet;
  if (std::uncaught_exceptions() > frame.exceptions) return note_thrown(frame);
  const bool compares = options_.fp32_comparison.has_value();
  if (frame.is_node || (frame.has_children && !compares)) return;
  if (function.outputs().empty()) return;
  if (!frame.has_children) end_leaf(function, frame);
  if (!compares) return;
  frame.root->in_low_precision |= any_in_low_precision(function.outputs());
  if (frame.root == &frame) compare_in_fp32(function, frame);
}

}  // namespace amp::inspect
