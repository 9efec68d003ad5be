// One step over all parameters of an optimizer.
#include "src/optim/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "amp/error.h"
#include "src/optim/gradients.h"
#include "src/optim/low_precision.h"
#include "src/optim/same_kind.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {
namespace {

// Returns a 0-dim fp32 tensor on the CPU. It is that of the last step if nobody kept it.
const at::Tensor& result(at::Tensor& kept, float value) {
  const bool is_free = kept.defined() && kept.use_count() == 1 && kept.storage().use_count() == 1;
  if (!is_free) kept = at::full({}, value, c10::kFloat);
  *static_cast<float*>(tensor_lists::write(kept).data) = value;
  return kept;
}

// The factor of torch.nn.utils.clip_grad_norm_, in fp32; a NaN norm gives NaN. A norm beyond fp32's
// range would make the factor 0, so then it is computed in fp64.
float clip_factor(double norm, double max_norm) {
  const auto in_fp32 = static_cast<float>(norm);
  const float factor = std::isinf(in_fp32) ? static_cast<float>(max_norm / norm)
                                           : static_cast<float>(max_norm) / (in_fp32 + 1e-6F);
  return factor > 1 ? 1 : factor;
}

at::Tensor clip_factor(const at::Tensor& norm, double max_norm) {
  const auto in_fp32 = norm.to(c10::kFloat);
  const auto factor = at::full_like(in_fp32, max_norm).div_(in_fp32.add(1e-6));
  const auto in_fp64 = at::full_like(norm, max_norm).div_(norm).to(c10::kFloat);
  return at::where(in_fp32.isinf(), in_fp64, factor).clamp_max_(1.0);
}

bool is_set(const at::Tensor& flag) { return flag.defined() && flag.item<float>() != 0.0F; }

bool is_known(const Slot& slot, const at::Tensor& parameter) {
  return slot.parameter.is_same(parameter) && slot.dtype == parameter.scalar_type() &&
         slot.strides == parameter.strides();
}

}  // namespace

// Every step checks whether the groups hold what they held before: masters take parameters' places,
// modules are converted, and the base class adds groups without asking.
void Step::know_parameters(const Algorithm& algorithm, Groups& groups, States& states) {
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

ParameterState& Step::state_of(Slot& slot, const Algorithm& algorithm,
                               const OptimizerOptions& options, States& states) {
  const auto& memory = algorithm.memory(options);
  if (slot.state == nullptr) {
    auto made = first_state(slot.parameter, memory);
    slot.state = made.get();
    states[slot.parameter.unsafeGetTensorImpl()] = std::move(made);
  }
  add_buffers(*slot.state, slot.parameter, algorithm.buffers(options), memory);
  take_changes(slot.parameter, *slot.state);
  return *slot.state;
}

StepOutcome Step::look(float inv_scale, bool go_back) {
  kernels::Examined seen;
  non_finite_.clear();
  if (any_by_kernels_) seen = kernels_.examine(entries_, inv_scale, go_back);
  if (seen.non_finite) kernels_.add_non_finite(entries_, non_finite_);
  norm_on_host_ = std::sqrt(seen.sum_of_squares);
  if (aten_.empty()) {
    return {result(norm_, static_cast<float>(norm_on_host_)),
            result(flag_, seen.non_finite ? 1.0F : 0.0F)};
  }
  auto [norm, found] = aten_.look(go_back);
  if (found.is_cpu() && found.item<bool>()) aten_.add_non_finite(non_finite_, go_back);
  if (any_by_kernels_) norm = (norm.square() + seen.sum_of_squares).sqrt();
  if (seen.non_finite) found = at::full_like(found, true);
  const auto device = entries_.front().given.device();
  norm_there_ = norm.to(device, /*non_blocking=*/true);
  return {norm_there_.to(c10::kFloat), found.to(c10::kFloat).to(device, /*non_blocking=*/true)};
}

Step::Decision Step::decide(const StepRequest& request, const StepOutcome& seen, float inv_scale) {
  Decision decision;
  decision.inv_scale = inv_scale;
  // Without a loss scale nothing is skipped, as in torch.
  if (request.found_inf.defined())
    decision.flag = request.found_inf;
  else if (request.inv_scale.defined())
    decision.flag = seen.found_inf;
  if (request.max_grad_norm <= 0) return decision;
  if (any_by_kernels_) {
    const double norm = aten_.empty() ? norm_on_host_ : norm_there_.item<double>();
    decision.clip = clip_factor(norm, request.max_grad_norm);
  }
  if (!aten_.empty()) {
    auto clip = clip_factor(norm_there_, request.max_grad_norm);
    if (decision.flag.defined())
      clip = at::where(decision.flag.ne(0), at::full_like(clip, 1), clip);
    decision.clip_there = clip;
    aten_.clip(clip);
  }
  return decision;
}

// Allocates all the memory that a step needs before the step writes anything, so a step that fails
// here has changed nothing.
void Step::prepare(const Algorithm& algorithm, Groups& groups, States& states, bool kernels_too) {
  for (auto& entry : entries_) {
    if (entry.by_kernels && !kernels_too) continue;
    auto& slot = *entry.slot;
    state_of(slot, algorithm, groups[slot.group].options(), states);
    if (slot.dtype == c10::kFloat) weight_copies::copy_to_write(slot.parameter);
  }
}

void Step::update_by_kernels(Algorithm& algorithm, Groups& groups, const Decision& decision) {
  kernels_.begin(algorithm, decision.inv_scale, decision.clip);
  for (auto& entry : entries_) {
    if (!entry.by_kernels) continue;
    auto& slot = *entry.slot;
    const auto& options = groups[slot.group].options();
    auto& state = *slot.state;
    state.counters = state.current_counters();
    state.device_counters.reset();
    ++state.counters.steps;
    if (algorithm.buffers(options).first) ++state.counters.momentum_steps;
    const auto copy =
        slot.dtype == c10::kFloat ? weight_copies::copy_to_write(slot.parameter) : at::Tensor();
    kernels_.add(algorithm, options, entry, copy);
  }
  kernels_.run(algorithm);
  for (auto& entry : entries_) {
    if (!entry.by_kernels) continue;
    const auto& parameter = entry.slot->parameter;
    raise_version(parameter);
    entry.slot->state->version = version_of(parameter);
    weight_copies::written(parameter);
  }
}

void Step::update_by_aten(Algorithm& algorithm, Groups& groups, const at::Tensor& flag) {
  if (aten_.empty()) return;
  aten_.update(algorithm, groups, flag.defined() ? flag.ne(0) : flag);
  ListCopy copies;
  for (std::size_t i = 0; i < aten_.size(); ++i) {
    auto& slot = *aten_.entry(i).slot;
    raise_version(slot.parameter);
    slot.state->version = version_of(slot.parameter);
    if (slot.dtype != c10::kFloat) continue;
    if (auto copy = weight_copies::copy_to_write(slot.parameter); copy.defined())
      copies.add(std::move(copy), slot.parameter.detach());
  }
  copies.run();
  for (std::size_t i = 0; i < aten_.size(); ++i) {
    const auto& slot = *aten_.entry(i).slot;
    if (slot.dtype == c10::kFloat) weight_copies::written(slot.parameter);
  }
}

void Step::give_back(const StepRequest& request, const Decision& decision) {
  if (!request.give_back) return;
  at::Tensor factor;  // for sparse gradients alone
  if (std::any_of(entries_.begin(), entries_.end(), [](auto& e) { return e.given.is_sparse(); })) {
    factor = request.inv_scale.defined() ? request.inv_scale : at::full({}, 1.0, c10::kFloat);
    factor = decision.clip_there.defined() ? factor * decision.clip_there : factor * decision.clip;
  }
  for (auto& entry : entries_) {
    if (entry.by_kernels && entry.give_back) optim::give_back(entry, entry.unscaled, factor);
  }
  aten_.give_back(factor);
}

StepOutcome Step::run(Algorithm& algorithm, Groups& groups, States& states,
                      const StepRequest& request) {
  know_parameters(algorithm, groups, states);
  collect_gradients(algorithm, slots_, request.give_back, entries_);
  if (entries_.empty()) return {};
  any_by_kernels_ =
      std::any_of(entries_.begin(), entries_.end(), [](auto& e) { return e.by_kernels; });
  if (any_by_kernels_) kernels::table();  // an AMP_FORCE_TARGET that is not there is refused here
  const bool scaled = request.inv_scale.defined();
  const float inv_scale = any_by_kernels_ && scaled ? request.inv_scale.item<float>() : 1.0F;
  aten_.begin(entries_, request.inv_scale);

  StepOutcome seen;
  const bool must_look =
      !request.update || request.max_grad_norm > 0 || (scaled && !request.found_inf.defined());
  if (must_look) seen = look(inv_scale, request.give_back || !request.update);
  if (request.update) {
    auto decision = decide(request, seen, inv_scale);
    const bool kernels_skip = any_by_kernels_ && is_set(decision.flag);
    prepare(algorithm, groups, states, !kernels_skip);
    // The update by ATen may still fail, so it comes first.
    update_by_aten(algorithm, groups, decision.flag);
    if (kernels_skip) {
      decision.clip = 1;
      if (request.give_back) kernels_.unscale(entries_, inv_scale);
    } else if (any_by_kernels_) {
      update_by_kernels(algorithm, groups, decision);
    }
    give_back(request, decision);
  }
  entries_.clear();
  norm_there_.reset();
  aten_.end();
  return seen;
}

}  // namespace amp::optim
