// One step over all parameters of an optimizer.
#include "src/optim/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>

#include <string>

#include "amp/error.h"
#include "src/optim/gradients.h"
#include "src/optim/same_kind.h"
#include "src/tensor_lists/operands.h"

namespace amp::optim {
namespace {

// Returns a 0-dim fp32 tensor on the CPU. It is that of the last step if nobody kept it.
const at::Tensor& result(at::Tensor& kept, float value) {
  const bool is_free = kept.defined() && kept.use_count() == 1 && kept.storage().use_count() == 1;
  if (!is_free) kept = at::full({}, value, c10::kFloat);
  *static_cast<float*>(tensor_lists::write(kept).data) = value;
  return kept;
}

bool is_known(const Slot& slot, const at::Tensor& parameter) {
  return slot.parameter.is_same(parameter) && slot.dtype == parameter.scalar_type() &&
         slot.strides == parameter.strides();
}

}  // namespace

// Every step checks whether the groups hold what they held before: masters take parameters' places,
// modules are converted, and the base class adds groups without asking.
void Step::track_parameters(const OptimizerParts& optimizer) {
  const auto& [algorithm, groups, states] = optimizer;
  std::size_t known = 0;
  bool same = true;
  for (const auto& group : groups) {
    for (const auto& parameter : group.params()) {
      same = same && known < slots_.size() && is_known(slots_[known], parameter);
      ++known;
    }
  }
  if (same && known == slots_.size()) return;
  for (std::size_t g = 0; g < groups.size(); ++g) check_group(algorithm, groups[g], g);
  check_distinct(algorithm, groups);
  slots_.clear();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& memory = algorithm.memory(groups[g].options());
    for (std::size_t i = 0; i < groups[g].params().size(); ++i) {
      const auto& parameter = groups[g].params()[i];
      const auto found = states.find(parameter.unsafeGetTensorImpl());
      auto* state =
          found == states.end() ? nullptr : static_cast<ParameterState*>(found->second.get());
      if (state != nullptr && !adapt(*state, parameter, memory)) {
        slots_.clear();
        throw InvalidArgument(std::string(algorithm.name()) + ": " + named(parameter, g, i) +
                              " has another shape than its moments; make a new optimizer");
      }
      slots_.push_back({parameter, g, i, static_cast<std::uint32_t>(slots_.size()), state,
                        parameter.scalar_type(), c10::DimVector(parameter.strides()),
                        parameter.scalar_type() == c10::kFloat ? weight_copies::Ownership(parameter)
                                                               : weight_copies::Ownership()});
    }
  }
}

// Gives each entry to the first backend that takes it.
void Step::share_out_entries() {
  for (auto& entry : entries_) {
    for (auto& backend : backends_) {
      if (backend->add(entry)) break;
    }
  }
  for (auto& backend : backends_) {
    if (!backend->empty()) active_.push_back(backend.get());
  }
}

StepOutcome Step::examine(bool gives_back) {
  findings_ = {};
  for (auto* backend : active_) backend->examine(gives_back, findings_);
  if (!findings_.norm_tensor.defined()) {
    return {result(norm_, static_cast<float>(findings_.norm())),
            result(flag_, findings_.non_finite ? 1.0F : 0.0F)};
  }
  auto& [sum_of_squares, non_finite, norm, flag, parameters] = findings_;
  if (sum_of_squares.has_value()) norm = (norm.square() + *sum_of_squares).sqrt();
  if (non_finite) flag = at::full_like(flag, true);
  const auto device = entries_.front().gradient.device();
  norm = on_device(norm, device);
  return {norm.to(c10::kFloat), on_device(flag.to(c10::kFloat), device)};
}

void Step::update(const OptimizerParts& optimizer, const StepRequest& request,
                  const StepOutcome& outcome) {
  // Without a loss scale nothing is skipped, as in torch.
  const bool may_skip = request.inv_scale.defined() || request.found_inf.defined();
  const auto& found_inf = request.found_inf.defined() ? request.found_inf : outcome.found_inf;
  const Decision decision(may_skip ? found_inf : at::Tensor(), request.max_grad_norm, findings_);
  for (auto* backend : active_) backend->prepare(optimizer, decision);
  // Goes backwards, because ATen's update may still fail, and then the kernels have written nothing.
  for (auto backend = active_.rbegin(); backend != active_.rend(); ++backend)
    (*backend)->update(optimizer);
  if (!request.give_back) return;
  for (auto* backend : active_) backend->give_back();
}

void Step::forget_entries() {
  for (auto& backend : backends_) backend->clear();
  active_.clear();
  entries_.clear();
}

StepOutcome Step::run(const OptimizerParts& optimizer, const StepRequest& request) {
  track_parameters(optimizer);
  forget_entries();  // of a step that failed
  collect_gradients(optimizer.algorithm, slots_, request.give_back, entries_);
  if (entries_.empty()) return {};
  share_out_entries();
  for (auto* backend : active_) backend->begin(request.inv_scale);

  StepOutcome outcome;
  const bool lacks_flag = request.inv_scale.defined() && !request.found_inf.defined();
  if (!request.update || request.max_grad_norm > 0 || lacks_flag)
    outcome = examine(request.give_back || !request.update);
  if (request.update) update(optimizer, request, outcome);
  forget_entries();
  return outcome;
}

}  // namespace amp::optim
