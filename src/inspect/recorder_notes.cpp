// What a recorded step notes besides the ops that are done: gradients, targets, and what threw.
#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "src/inspect/deviation.h"
#include "src/inspect/frame.h"
#include "src/inspect/quiet.h"
#include "src/inspect/recorder.h"
#include "src/inspect/targets.h"

namespace amp::inspect {
namespace {

// The scalar argument of an op with the largest magnitude.
double largest_scalar(const std::vector<c10::IValue>& inputs) {
  double largest = std::nan("");
  for (const auto& value : inputs) {
    if (!value.isDouble() && !value.isInt()) continue;
    const double number = value.isDouble() ? value.toDouble() : static_cast<double>(value.toInt());
    if (!(std::abs(number) <= std::abs(largest))) largest = number;
  }
  return largest;
}

}  // namespace

void Recorder::on_gradient(std::uint64_t session, int parameter, const at::Tensor& gradient) try {
  if (!has_numbers(gradient)) return;
  const Quiet quiet;
  const auto number = static_cast<std::size_t>(parameter);
  at::Tensor expected;  // holds it beyond the lock
  {
    const std::lock_guard lock(mutex_);
    if (is_over(session)) return;
    if (number < expected_.size() && has_dense_numbers(gradient)) expected = expected_[number];
  }
  const auto summary = summary_of(gradient, summary_options_);
  Deviation deviation;
  if (has_dense_numbers(expected))
    deviation = deviation_of(gradient, expected, options_.fp32_comparison.value_or(Format::fp32),
                             loss_scale_);
  const std::lock_guard lock(mutex_);
  if (is_over(session)) return;
  auto& record = parameters_[number];
  record.gradient.add(summary);
  ++record.gradients;
  if (expected.defined()) {
    record.deviation.add(deviation);
    expected_[number].reset();
  }
  if (summary.finite() ||
      std::ranges::find(trace_.bad_gradients, parameter) != trace_.bad_gradients.end())
    return;
  trace_.bad_gradients.push_back(parameter);
  const auto* origin = gradient.is_sparse() ? nullptr : origins_.find(gradient);
  trace_.gradient_origins.push_back(origin == nullptr ? Origin{} : *origin);
} catch (...) {
  return;  // the backward pass goes on; this gradient is passed over
}

void Recorder::check_targets(const Frame& frame) {
  auto wrong = target_out_of_range(frame.op, frame.inputs);
  if (!wrong.has_value()) return;
  FirstNonFinite found;
  found.origin = FirstNonFinite::Origin::target;
  found.op = frame.op;
  found.called_as = frame.root->op;
  found.module = module_of(frame);
  found.input_amax = wrong->value;
  found.detail = std::move(wrong->text);
  const std::lock_guard lock(mutex_);
  if (!is_over(frame.session) && !trace_.target.has_value()) trace_.target = std::move(found);
}

// The first frame that an exception goes through is that of the op that threw. The frames around it
// come later.
void Recorder::note_thrown(const Frame& frame) {
  Thrown thrown;
  thrown.pass = frame.is_backward ? Pass::backward : Pass::forward;
  const auto* node = frame.is_node ? &frame : frame.root->outer;
  const bool in_node = node != nullptr && node->is_node && (!node->is_custom || frame.is_node);
  thrown.op = in_node ? node->op : frame.op;
  thrown.called_as = in_node ? node->called_as : frame.root->op;
  thrown.module = in_node && node->module >= 0 ? module_of(*node) : module_of(frame);
  thrown.value = largest_scalar(frame.inputs);
  const std::lock_guard lock(mutex_);
  if (is_over(frame.session)) return;
  if (thrown_.has_value() && thrown_on_ == std::this_thread::get_id()) return;
  thrown_ = std::move(thrown);
  thrown_on_ = std::this_thread::get_id();
}

// Forgets an exception: a new op begins, so the exception of an earlier one was caught.
void Recorder::forget_thrown() {
  if (thrown_.has_value() && thrown_on_ == std::this_thread::get_id()) thrown_.reset();
}

Thrown Recorder::thrown() const {
  const std::lock_guard lock(mutex_);
  if (thrown_.has_value()) return *thrown_;
  Thrown nowhere;
  nowhere.pass = seen_backward_ ? Pass::backward : Pass::forward;
  nowhere.after =
      last_op_module_.empty() || last_op_.empty() ? last_op_ : last_op_module_ + " " + last_op_;
  return nowhere;
}

}  // namespace amp::inspect
