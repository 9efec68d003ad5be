// The callbacks of a recorded step, and how ops find their modules.
#include "src/inspect/recorder.h"

#include <ATen/SequenceNumber.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/graph_task.h>

#include <atomic>
#include <cstring>
#include <exception>
#include <sstream>
#include <string_view>

#include "amp/error.h"
#include "src/inspect/frame.h"
#include "src/inspect/module_scope.h"
#include "src/inspect/quiet.h"
#include "src/inspect/slots.h"
#include "src/inspect/widen.h"

namespace amp::inspect {
namespace {

// An op that runs below autograd is part of the op that autograd sees.
bool is_below_autograd(const Frame* outer) {
  if (c10::InferenceMode::is_enabled()) return outer != nullptr;
  return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutogradFunctionality);
}

bool in_backward() { return torch::autograd::get_current_graph_task_id() != -1; }

std::string sizes_in_words(at::IntArrayRef sizes) {
  std::ostringstream text;
  text << sizes;
  return text.str();
}

template <typename Values>
bool needs_gradient(const Values& inputs) {
  bool needed = false;
  for_each_tensor(inputs, [&](const at::Tensor& tensor) { needed |= tensor.requires_grad(); });
  return needed;
}

std::string without_namespace(const char* name) {
  constexpr const char* kAten = "aten::";
  return std::strncmp(name, kAten, 6) == 0 ? name + 6 : name;
}

// Whether a node's name is that of a function that the library differentiates itself (src/ops,
// src/autocast). Such a node is the op, and what it calls is a part of it.
bool is_of_the_library(std::string_view node) {
  return node.find("amp::ops::") != std::string_view::npos ||
         node.find("amp::autocast::") != std::string_view::npos;
}

}  // namespace

void Recorder::start(double loss_scale) {
  const Quiet quiet;
  static std::atomic<std::uint64_t> sessions = 0;
  summary_options_ = {options_.histograms, options_.formats};
  trace_.clear();
  fp32_comparisons_.clear();
  expected_.clear();
  origins_.clear();
  forwards_.clear();
  inside_.clear();
  last_module_ = -1;
  seen_backward_ = false;
  evaluations_ = 0;
  last_scalar_ = -1;
  scalar_.reset();
  loss_.reset();
  flushed_ = {};
  thrown_.reset();
  last_op_.clear();
  last_op_module_.clear();
  loss_scale_ = loss_scale;
  ++recorded_steps_;
  names_.locate();
  const int slot = take_slot(shared_from_this());
  session_ = ++sessions;
  try {
    look_at_parameters();
  } catch (...) {
    remove_hooks();
    free_slot(slot);
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    slot_ = slot;
  }
  callback_ = at::addThreadLocalCallback(callback_of(slot));
}

void Recorder::remove_hooks() {
  for (auto& [parameter, hook] : hooks_) parameter.remove_hook(hook);
  hooks_.clear();
}

void Recorder::stop() {
  if (slot_ < 0) return;
  at::removeCallback(callback_);
  remove_hooks();
  const int slot = slot_;
  std::vector<at::Tensor> expected;  // let go of after the lock
  {
    const std::lock_guard lock(mutex_);
    slot_ = -1;
    origins_.clear();
    expected.swap(expected_);
  }
  free_slot(slot);
}

void Recorder::expect(const std::vector<at::Tensor>& parameters,
                      const std::vector<at::Tensor>& gradients) {
  if (parameters.size() != gradients.size())
    throw InvalidArgument("Inspector: expect() takes a gradient for each parameter, got " +
                          std::to_string(gradients.size()) + " for " +
                          std::to_string(parameters.size()) +
                          "; pass an undefined tensor where there is none");
  std::vector<at::Tensor> expected(names_.parameters().size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto number = names_.parameter_of(parameters[i]);
    if (number < 0)
      throw InvalidArgument("Inspector: expect() got " + names_.parameter_name(parameters[i]) +
                            ", which is not among the parameters of the model that is watched");
    if (gradients[i].defined() && gradients[i].sizes() != parameters[i].sizes())
      throw InvalidArgument("Inspector: expect() got a gradient of shape " +
                            sizes_in_words(gradients[i].sizes()) + " for '" +
                            names_.parameter_name(parameters[i]) + "' of shape " +
                            sizes_in_words(parameters[i].sizes()));
    expected[static_cast<std::size_t>(number)] = gradients[i];
  }
  const std::lock_guard lock(mutex_);
  expected_.swap(expected);
}

void Recorder::look_at_parameters() {
  const auto& all = names_.parameters();
  parameters_.assign(all.size(), {});
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& tensor = all[i].tensor;
    auto& record = parameters_[i];
    record.name = all[i].name;
    record.loss_scale = loss_scale_;
    if (!has_numbers(tensor)) continue;
    record.weight = summary_of(tensor.detach(), summary_options_);
    if (has_dense_numbers(tensor)) {
      Origin origin{.parameter = static_cast<int>(i)};
      origin.take(record.weight.statistics);
      origins_.set(tensor, origin);
    }
    if (!tensor.requires_grad() || !tensor.is_leaf()) continue;
    auto handle = tensor;
    const auto hook =
        handle.register_hook([self = weak_from_this(), session = session_.load(),
                              number = static_cast<int>(i)](const at::Tensor& gradient) {
          if (const auto recorder = self.lock()) recorder->on_gradient(session, number, gradient);
          return at::Tensor();  // the gradient stays what it is
        });
    hooks_.emplace_back(tensor, hook);
  }
}

std::unique_ptr<at::ObserverContext> Recorder::before(const at::RecordFunction& function,
                                                      int slot) {
  auto*& top = innermost(slot);
  const auto session = session_.load();
  auto* outer = top != nullptr && top->session == session ? top : nullptr;
  const bool is_node = function.scope() == at::RecordScope::BACKWARD_FUNCTION;
  if (!is_node && is_below_autograd(outer)) return nullptr;
  const Around around{c10::GradMode::is_enabled(), in_backward()};
  const Quiet quiet;
  auto frame = std::make_unique<Frame>();
  frame->session = session;
  frame->exceptions = std::uncaught_exceptions();
  frame->enclosing = top;
  frame->outer = outer;
  frame->is_node = is_node;
  frame->is_backward = is_node || around.in_backward;
  if (is_node) {
    const std::lock_guard lock(mutex_);
    if (is_over(session)) return nullptr;
    forget_thrown();
    begin_node(function, *frame);
  } else if (!begin_op(function, *frame, around)) {
    return nullptr;
  }
  top = frame.get();
  return frame;
}

void Recorder::begin_node(const at::RecordFunction& function, Frame& frame) {
  if (!seen_backward_) {
    seen_backward_ = true;
    if (last_scalar_ >= 0) trace_.losses.push_back(last_scalar_);
    loss_ = scalar_;
  }
  const Sequence sequence{function.forwardThreadId(), static_cast<std::uint64_t>(function.seqNr())};
  auto found = forwards_.find(sequence);
  if (found == forwards_.end()) {
    found = inside_.find(sequence);
    if (found == inside_.end()) {
      frame.op = frame.called_as = op_of_node(function.name());
      return;
    }
    frame.is_custom = !is_of_the_library(function.name());
  }
  frame.op = found->second.op;
  frame.called_as = found->second.called_as;
  frame.module = found->second.module;
  frame.in_cast = found->second.in_cast;
}

// Returns false if the op belongs to clipping or the optimizer, or if the step is over.
bool Recorder::begin_op(const at::RecordFunction& function, Frame& frame, Around around) {
  const bool begins = around.grad_mode && needs_gradient(function.inputs());
  note_inputs(function, frame);
  const bool inside = frame.root != &frame;
  {
    const std::lock_guard lock(mutex_);
    if (is_over(frame.session)) return false;
    if (seen_backward_ && !frame.is_backward) {
      if (!begins) return false;
      seen_backward_ = false;  // the next micro-batch
      last_scalar_ = -1;
      last_module_ = -1;
    }
    forget_thrown();
    place(frame);
    if (!frame.is_backward) note_forward(function, frame, around.grad_mode);
    last_op_ = frame.root->op;
    last_op_module_ = module_of(frame);
  }
  if (inside) frame.outer->has_children = true;
  try {
    if (!frame.is_backward && (!inside || frame.outer->op != frame.op)) check_targets(frame);
    keep_self(frame);
  } catch (const std::exception&) {
    return true;  // of tensors that cannot be looked at, the rest is known
  }
  return true;
}

void Recorder::note_inputs(const at::RecordFunction& function, Frame& frame) {
  const std::string_view called = function.name();
  frame.op = called.starts_with("autograd::engine::") ? op_of_node(std::string(called))
                                                      : without_namespace(function.name());
  const auto inputs = function.inputs();
  frame.inputs.assign(inputs.begin(), inputs.end());
  const bool inside = frame.outer != nullptr && !frame.outer->is_node;
  frame.root = inside ? frame.outer->root : &frame;
  if (!options_.fp32_comparison.has_value()) return;
  frame.root->in_low_precision |= any_in_low_precision(frame.inputs);
  if (const auto name = function.operator_name())
    frame.root->draws_random |= draws_random(*name, frame.inputs);
}

// Keeps what an in-place op overwrites, because it is needed if the op has to be computed again.
void Recorder::keep_self(Frame& frame) {
  if (!writes_self(frame.op) || ignores_self(frame.op) || frame.inputs.empty() ||
      !frame.inputs[0].isTensor() || !has_dense_numbers(frame.inputs[0].toTensor()))
    return;
  const auto& self = frame.inputs[0].toTensor();
  origin_of(self);
  auto copy = self.detach().clone();
  frame.self = self;
  frame.inputs[0] = std::move(copy);
}

void Recorder::place(Frame& frame) {
  if (frame.outer != nullptr && frame.outer->by_parameter) {
    frame.by_parameter = true;
    frame.module = frame.outer->module;
  }
  for_each_tensor(frame.inputs, [&](const at::Tensor& tensor) {
    if (frame.parameter < 0) frame.parameter = names_.parameter_of(tensor);
  });
  if (frame.parameter >= 0 && !frame.by_parameter) {
    frame.by_parameter = true;
    frame.module = names_.parameters()[static_cast<std::size_t>(frame.parameter)].module;
    if (!frame.is_backward) last_module_ = frame.module;
  }
  if (frame.by_parameter) return;
  if (frame.outer != nullptr && frame.outer->module >= 0) {
    frame.module = frame.outer->module;
    return;
  }
  if (frame.is_backward) return;
  frame.module = scoped_module(names_);
  if (frame.module >= 0) return;
  frame.module = names_.after(last_module_, frame.op);
  const auto& modules = names_.modules();
  const bool is_its_own =
      frame.module > kRoot && !modules[static_cast<std::size_t>(frame.module)].has_parameters;
  if (is_its_own) last_module_ = frame.module;
}

// A node's number is the value of the counter when the op was called; of several ops with one
// value, the last made the node. Inside a custom function the counter is one higher, and does not
// count.
void Recorder::note_forward(const at::RecordFunction& function, const Frame& frame,
                            bool grad_mode) {
  const auto count = at::sequence_number::peek();
  const auto& root = *frame.root;
  const Forward forward{frame.op, root.op, frame.module,
                        frame.op == "_to_copy" && &root != &frame && root.op != "to"};
  if (!grad_mode) {
    if (count > 0) inside_.try_emplace({function.threadId(), count - 1}, forward);
    return;
  }
  if (needs_gradient(frame.inputs)) forwards_[{function.threadId(), count}] = forward;
}

}  // namespace amp::inspect
