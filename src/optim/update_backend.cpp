// What follows from the first pass of a step, and what both backends do with their slots.
#include "src/optim/update_backend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <utility>

#include "src/optim/low_precision.h"
#include "src/optim/same_kind.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {
namespace {

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

}  // namespace

double Findings::norm() const {
  return norm_tensor.defined() ? norm_tensor.item<double>() : std::sqrt(sum_of_squares.value_or(0));
}

bool Decision::skips() const {
  if (!skips_.has_value()) skips_ = flag_.defined() && flag_.item<float>() != 0.0F;
  return *skips_;
}

at::Tensor Decision::skip_tensor() const { return flag_.defined() ? flag_.ne(0) : flag_; }

float Decision::clip() const {
  return max_norm_ > 0 && !skips() ? clip_factor(findings_.norm(), max_norm_) : 1;
}

at::Tensor Decision::clip_tensor() const {
  if (max_norm_ <= 0) return {};
  const auto clip = clip_factor(findings_.norm_tensor, max_norm_);
  return flag_.defined() ? at::where(skip_tensor(), at::full_like(clip, 1), clip) : clip;
}

void prepare_slot(Slot& slot, const OptimizerParts& optimizer) {
  const auto& options = optimizer.options(slot);
  const auto& memory = optimizer.algorithm.memory(options);
  if (slot.state == nullptr) {
    auto made = first_state(slot.parameter, memory);
    slot.state = made.get();
    optimizer.states[slot.parameter.unsafeGetTensorImpl()] = std::move(made);
  }
  add_buffers(*slot.state, slot.parameter, optimizer.algorithm.buffers(options), memory);
  take_changes(slot.parameter, *slot.state);
  if (slot.dtype == c10::kFloat) weight_copies::copy_to_write(slot.parameter);
}

void note_write(Slot& slot) {
  raise_version(slot.parameter);
  slot.state->version = version_of(slot.parameter);
  weight_copies::written(slot.parameter);
}

}  // namespace amp::optim
