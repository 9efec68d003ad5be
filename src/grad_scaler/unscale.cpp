// Dividing an optimizer's gradients by the loss scale: one ATen call per device and dtype.
#include "src/grad_scaler/unscale.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "amp/error.h"
#include "src/optim/same_kind.h"
#include "src/optim/scaled_step.h"

namespace amp::scaling {
namespace {

// A gradient and where its parameter stands, for messages.
struct Entry {
  std::size_t group, index;
  at::Tensor parameter, gradient;
};

// Why a gradient cannot be unscaled; null if it can.
const char* refusal(const at::Tensor& gradient, bool takes_half) {
  const auto dtype = gradient.scalar_type();
  if (dtype == c10::kHalf && !takes_half) {
    return "fp16; unscaled it would be flushed to zero. Use an optimizer of amp::optim, or keep "
           "the parameter in fp32 and run the forward pass under Autocast";
  }
  if (dtype != c10::kFloat && dtype != c10::kBFloat16 && dtype != c10::kDouble &&
      dtype != c10::kHalf)
    return "of a dtype that cannot be unscaled; use Float, BFloat16 or Double";
  if (gradient.layout() != c10::kStrided && gradient.layout() != c10::kSparse)
    return "of a layout that cannot be unscaled; use dense or sparse COO gradients";
  return nullptr;
}

std::string named(const Entry& entry) {
  std::ostringstream name;
  name << "the gradient of parameter " << entry.index << " in group " << entry.group << " (shape "
       << entry.parameter.sizes() << ", " << entry.gradient.scalar_type() << ", "
       << entry.gradient.layout() << ")";
  return name.str();
}

std::vector<Entry> gradients_of(torch::optim::Optimizer& optimizer) {
  std::vector<Entry> entries;
  auto& groups = optimizer.param_groups();
  std::size_t count = 0;
  for (auto& group : groups) count += group.params().size();
  entries.reserve(count);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto& parameters = groups[g].params();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor& gradient = parameters[i].grad();
      if (gradient.defined()) entries.push_back({g, i, parameters[i], gradient});
    }
  }
  return entries;
}

const c10::TensorImpl* address(const GradientList::value_type& gradient) {
  return gradient._unsafe_get_target();
}

bool by_address(const GradientList::value_type& a, const GradientList::value_type& b) {
  return address(a) < address(b);
}

GradientList sorted(const std::vector<Entry>& entries, at::Tensor Entry::*tensor) {
  GradientList list;
  list.reserve(entries.size());
  for (const auto& entry : entries) list.emplace_back((entry.*tensor).getIntrusivePtr());
  std::sort(list.begin(), list.end(), by_address);
  return list;
}

// Sorts the gradients. If one comes twice, only its first entry stays.
GradientList listed(std::vector<Entry>& entries) {
  auto list = sorted(entries, &Entry::gradient);
  const auto same = [](auto& a, auto& b) { return address(a) == address(b); };
  const auto end = std::unique(list.begin(), list.end(), same);
  if (end == list.end()) return list;
  list.erase(end, list.end());
  std::unordered_set<const c10::TensorImpl*> seen;
  std::erase_if(entries, [&](const Entry& entry) {
    return !seen.insert(entry.gradient.unsafeGetTensorImpl()).second;
  });
  return list;
}

bool contains(const GradientList& list, const at::Tensor& tensor) {
  const GradientList::value_type wanted(tensor.getIntrusivePtr());
  const auto place = std::lower_bound(list.begin(), list.end(), wanted, by_address);
  return place != list.end() && address(*place) == address(wanted) && !place->expired();
}

void check(const std::vector<Entry>& entries, bool takes_half,
           const std::vector<const GradientList*>& divided_before) {
  for (const auto& entry : entries) {
    if (const char* why = refusal(entry.gradient, takes_half))
      throw InvalidArgument("GradScaler: " + named(entry) + " is " + why);
    for (const auto* list : divided_before) {
      if (!contains(*list, entry.gradient)) continue;
      throw StateError("GradScaler: " + named(entry) +
                       " was already divided by the loss scale for another optimizer that holds "
                       "the parameter too; give the parameter to one optimizer, or call "
                       "zero_grad() and backward() again between the two");
    }
  }
}

bool has_half(const std::vector<Entry>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const Entry& entry) { return entry.gradient.scalar_type() == c10::kHalf; });
}

const at::Tensor& gradient_of(const Entry& entry) { return entry.gradient; }

at::Tensor values_of(const at::Tensor& gradient) {
  return gradient.is_sparse() ? gradient._values() : gradient;
}

// Whether ATen can write to it in place. It cannot if elements share memory, as those of expand()
// do, or if the tensor was made in inference mode.
bool is_writable(const at::Tensor& gradient) {
  const auto values = values_of(gradient);
  return at::has_internal_overlap(values) != at::MemOverlap::Yes &&
         (!values.is_inference() || c10::InferenceMode::is_enabled());
}

at::Tensor writable(const at::Tensor& gradient) {
  if (gradient.scalar_type() == c10::kHalf) {
    const auto wide = gradient.to(c10::kFloat);
    return wide.is_sparse() ? wide.coalesce() : wide;
  }
  return gradient.clone(c10::MemoryFormat::Contiguous);
}

// Replaces the gradients that cannot be divided in place. Unscaled fp16 gradients would be flushed
// to zero, and the sum of a sparse gradient's duplicates can overflow. A gradient that two
// parameters share stays shared.
void make_writable(std::vector<Entry>& entries) {
  std::unordered_map<const c10::TensorImpl*, at::Tensor> made;
  for (auto& entry : entries) {
    if (entry.gradient.scalar_type() != c10::kHalf && is_writable(entry.gradient)) continue;
    auto& gradient = made[entry.gradient.unsafeGetTensorImpl()];
    if (!gradient.defined()) gradient = writable(entry.gradient);
    entry.parameter.mutable_grad() = entry.gradient = gradient;
  }
}

// Sets found_inf to 1 if a gradient is not finite, and multiplies the gradients; bf16 ones are
// multiplied in fp32.
void look_and_multiply(std::vector<at::Tensor>& gradients, at::Tensor& found_inf,
                       const at::Tensor& factor) {
  const auto& first = gradients.front();
  if (first.scalar_type() != c10::kBFloat16 || first.is_cpu()) {
    at::_amp_foreach_non_finite_check_and_unscale_(gradients, found_inf, factor);
    return;
  }
  // CUDA's kernel takes no bf16.
  std::vector<at::Tensor> wide;
  wide.reserve(gradients.size());
  for (const auto& gradient : gradients)
    wide.push_back(at::empty_like(gradient, gradient.options().dtype(c10::kFloat)));
  at::_foreach_copy_(wide, gradients);
  at::_amp_foreach_non_finite_check_and_unscale_(wide, found_inf, factor);
  at::_foreach_copy_(gradients, wide);
}

FoundInf look_and_divide(const std::vector<Entry>& entries, const LossScale& scale, Pass pass,
                         bool may_overflow) {
  std::vector<at::Tensor> flags;  // one for each device
  for (const auto& kind : optim::by_kind(entries, gradient_of)) {
    const auto options = at::TensorOptions().dtype(c10::kFloat).device(kind.device);
    auto flag = std::find_if(flags.begin(), flags.end(),
                             [&](auto& known) { return known.device() == kind.device; });
    if (flag == flags.end()) flag = flags.insert(flag, at::zeros({}, options));
    std::vector<at::Tensor> gradients;
    gradients.reserve(kind.places.size());
    for (const auto i : kind.places) gradients.push_back(values_of(entries[i].gradient));
    if (pass == Pass::divide) look_and_multiply(gradients, *flag, scale.inverse_on(kind.device));
    // ATen looks only at its input. A scale below 1 makes gradients larger, so its output is looked
    // at, too.
    if (pass == Pass::check_only || may_overflow)
      look_and_multiply(gradients, *flag, at::full({}, 1.0f, options));
  }
  FoundInf found;
  for (auto& flag : flags) found.add(std::move(flag));
  return found;
}

}  // namespace

bool FoundInf::known() const {
  return any_.has_value() ||
         std::all_of(flags_.begin(), flags_.end(), [](auto& flag) { return flag.is_cpu(); });
}

bool FoundInf::any() const {
  if (!any_.has_value()) {
    any_ = std::any_of(flags_.begin(), flags_.end(),
                       [](auto& flag) { return flag.template item<float>() != 0.0f; });
  }
  return *any_;
}

at::Tensor FoundInf::combined() const {
  c10::NoGradGuard no_grad;
  auto sum = flags_.front();
  for (std::size_t i = 1; i < flags_.size(); ++i)
    sum = sum + flags_[i].to(sum.device(), /*non_blocking=*/true);
  return sum;
}

Unscaled unscale_gradients(torch::optim::Optimizer& optimizer, const LossScale& scale,
                           const Rule& rule, Pass pass,
                           const std::vector<const GradientList*>& divided_before) {
  c10::NoGradGuard no_grad;
  auto entries = gradients_of(optimizer);
  auto* fused = optim::fused_step_of(optimizer);
  check(entries, fused != nullptr, divided_before);
  if (fused != nullptr && pass == Pass::check_only) {
    Unscaled result{{}, listed(entries), {}, has_half(entries)};
    if (!entries.empty()) {
      const auto& device = entries.front().gradient.device();
      result.found_inf.add(fused->examine(scale.inverse_on(device)).found_inf);
    }
    return result;
  }
  make_writable(entries);
  Unscaled result{{}, {}, sorted(entries, &Entry::parameter), false};
  result.gradients = listed(entries);
  result.found_inf = look_and_divide(entries, scale, pass, scale.lower_bound(rule) < 1);
  return result;
}

void check_gradients_since(torch::optim::Optimizer& optimizer, const Unscaled& checked,
                           bool scaled_since) {
  for (const auto& entry : gradients_of(optimizer)) {
    if (contains(checked.gradients, entry.gradient)) continue;
    const bool had_one = contains(checked.parameters, entry.parameter);
    if (had_one && !scaled_since) continue;
    throw StateError("GradScaler: " + named(entry) +
                     (had_one ? " is another than unscale_() divided by the loss scale"
                              : " came after unscale_(), which divides by the loss scale") +
                     "; call unscale_() after the last backward(), change gradients in place after "
                     "it, or give this iteration up with zero_grad() and update()");
  }
}

std::optional<c10::Device> device_of_gradients(torch::optim::Optimizer& optimizer) {
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      if (parameter.grad().defined()) return parameter.grad().device();
    }
  }
  return std::nullopt;
}

GradientList gradient_list(torch::optim::Optimizer& optimizer) {
  auto entries = gradients_of(optimizer);
  return listed(entries);
}

std::vector<at::Tensor> non_finite_parameters(torch::optim::Optimizer& optimizer) {
  c10::NoGradGuard no_grad;
  const auto entries = gradients_of(optimizer);
  std::vector<at::Tensor> finite, found;
  for (const auto& [group, index, parameter, gradient] : entries) {
    finite.push_back(values_of(gradient).isfinite().all().to(entries.front().gradient.device()));
  }
  if (entries.empty()) return found;
  const auto flags = at::stack(finite).cpu();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!flags.const_data_ptr<bool>()[i]) found.push_back(entries[i].parameter);
  }
  return found;
}

}  // namespace amp::scaling
