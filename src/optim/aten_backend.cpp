// The passes of a step by ATen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <utility>
#include <vector>

#include "src/optim/aten_update.h"
#include "src/optim/gradients.h"
#include "src/optim/same_kind.h"
#include "src/optim/unscaled_range.h"
#include "src/optim/update_backend.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {
namespace {

const at::Tensor& gradient_of(const AtenItem& item) { return item.gradient; }

at::Tensor l2_norm(const std::vector<at::Tensor>& norms) {
  return norms.size() == 1 ? norms[0] : at::linalg_vector_norm(at::stack(norms));
}

// The largest magnitude of all; NaN if one of them is NaN.
at::Tensor largest(const std::vector<at::Tensor>& gradients) {
  std::vector<at::Tensor> found;
  for (const auto& gradient : gradients) {
    if (gradient.numel() > 0) found.push_back(gradient.abs().max());
  }
  return found.empty() ? at::zeros({}, gradients[0].options()) : at::stack(found).max();
}

class AtenBackend final : public UpdateBackend {
 public:
  bool add(Entry& entry) override {
    items_.push_back({&entry, {}, false});
    return true;
  }
  bool empty() const override { return items_.empty(); }

  // Unscales the gradients into tensors of its own.
  void begin(const at::Tensor& inv_scale) override {
    ListCopy copies;
    for (auto& item : items_) {
      const auto parameter = item.entry->slot->parameter.detach();
      const auto dtype = arithmetic_dtype(parameter);
      auto given = item.entry->gradient.detach();
      if (given.is_sparse()) given = given.to(dtype).to_dense();
      const bool in_order = given.strides() == parameter.strides();
      item.is_copy = !in_order || given.scalar_type() != dtype;
      if (!item.is_copy) {
        item.gradient = given;
      } else if (in_order) {
        item.gradient = at::empty_like(parameter, parameter.options().dtype(dtype));
        copies.add(item.gradient, given);
      } else {
        item.gradient = in_order_of(parameter, given, dtype);
      }
    }
    copies.run();
    inv_scale_ = inv_scale;
    if (inv_scale_.defined()) multiply(inv_scale_);
  }

  void examine(bool gives_back, Findings& findings) override {
    const auto device = items_[0].gradient.device();
    std::vector<at::Tensor> norms;
    at::Tensor non_finite;
    const auto add = [&](const at::Tensor& flag) {
      const auto here = on_device(flag, device);
      non_finite = non_finite.defined() ? non_finite.logical_or(here) : here;
    };
    for (const auto& kind : by_kind(items_, gradient_of)) {
      std::vector<at::Tensor> list, in_bf16;
      for (const auto i : kind.places) {
        list.push_back(items_[i].gradient);
        if (inv_scale_.defined() && is_stored_in_bf16(*items_[i].entry, gives_back))
          in_bf16.push_back(items_[i].gradient);
      }
      // In fp64 the squares of fp32 numbers do not overflow. Those of fp64 ones can.
      norms.push_back(on_device(l2_norm(at::_foreach_norm(list, 2, c10::kDouble)), device));
      add((kind.dtype == c10::kDouble ? largest(list) : norms.back()).isfinite().logical_not());
      if (!in_bf16.empty()) add(largest(in_bf16).ge(kInfInBf16));
    }
    findings.norm_tensor = l2_norm(norms);
    findings.non_finite_tensor = non_finite;
    if (non_finite.is_cpu() && non_finite.item<bool>())
      add_non_finite(gives_back, findings.parameters);
  }

  void prepare(const OptimizerParts& optimizer, const Decision& decision) override {
    skip_ = decision.skip_tensor();
    clip_ = decision.clip_tensor();
    if (clip_.defined()) multiply(clip_);
    for (auto& item : items_) prepare_slot(*item.entry->slot, optimizer);
  }

  void update(const OptimizerParts& optimizer) override {
    update_by_aten(items_, optimizer.algorithm, optimizer.groups, skip_);
    ListCopy copies;
    for (const auto& item : items_) {
      const auto& slot = *item.entry->slot;
      if (slot.dtype != c10::kFloat) continue;
      if (auto copy = weight_copies::copy_to_write(slot.parameter); copy.defined())
        copies.add(std::move(copy), slot.parameter.detach());
    }
    copies.run();
    for (const auto& item : items_) note_write(*item.entry->slot);
  }

  void give_back() override {
    ListCopy copies;
    for (auto& item : items_) {
      auto& entry = *item.entry;
      if (!entry.give_back) continue;
      if (entry.gradient.is_sparse())
        scale_sparse_gradient(entry, inv_scale_, clip_);
      else if (entry.gradient.scalar_type() == c10::kHalf ||
               entry.gradient.strides() != item.gradient.strides())
        optim::give_back(entry, item.gradient);
      else if (item.is_copy)
        copies.add(entry.gradient, item.gradient);
    }
    copies.run();
  }

  void clear() override {
    items_.clear();
    inv_scale_.reset();
    clip_.reset();
    skip_.reset();
  }

 private:
  // Multiplies the gradients by a 0-dim tensor.
  void multiply(const at::Tensor& factor) {
    for (const auto& [device, dtype, places] : by_kind(items_, gradient_of)) {
      const auto here = factor.to(device, dtype, /*non_blocking=*/true);
      std::vector<at::Tensor> copies, given;
      for (const auto i : places)
        (items_[i].is_copy ? copies : given).push_back(items_[i].gradient);
      if (!copies.empty()) at::_foreach_mul_(copies, here);
      if (given.empty()) continue;
      const auto products = at::_foreach_mul(given, here);
      auto product = products.begin();
      for (const auto i : places) {
        if (items_[i].is_copy) continue;
        items_[i].gradient = *product++;
        items_[i].is_copy = true;
      }
    }
  }

  // Takes a pass of its own, over what lies on the CPU: nobody waits for a GPU to name parameters.
  void add_non_finite(bool gives_back, std::vector<at::Tensor>& parameters) const {
    for (const auto& item : items_) {
      if (!item.gradient.is_cpu()) continue;
      const auto stored = is_stored_in_bf16(*item.entry, gives_back)
                              ? item.gradient.to(c10::kBFloat16)
                              : item.gradient;
      if (!stored.isfinite().all().item<bool>()) parameters.push_back(item.entry->slot->parameter);
    }
  }

  std::vector<AtenItem> items_;
  at::Tensor inv_scale_, clip_;  // 0-dim; undefined: 1
  at::Tensor skip_;              // bool, 0-dim; undefined: false
};

}  // namespace

std::unique_ptr<UpdateBackend> aten_backend() { return std::make_unique<AtenBackend>(); }

}  // namespace amp::optim
