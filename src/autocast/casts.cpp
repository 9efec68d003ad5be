// Casts of arguments, and the widest dtype among them.
#include "src/autocast/casts.h"

namespace amp::autocast {
namespace {

template <typename List>
std::vector<at::Tensor> each_cast(const Casts& casts, const List& tensors) {
  std::vector<at::Tensor> cast;
  cast.reserve(tensors.size());
  for (const auto& tensor : tensors) cast.push_back(casts(tensor));
  return cast;
}

}  // namespace

at::Tensor Casts::operator()(const at::Tensor& tensor) const {
  if (dtype == kAsItIs || !at::autocast::is_eligible(tensor, device)) return tensor;
  if (count != nullptr) return counted_cast(dtype, rounded_to, tensor, *count);
  if (rounded_to.has_value()) return cached_rounding(*rounded_to, tensor);
  return ours ? cached_cast(dtype, tensor) : at::autocast::cached_cast(dtype, tensor, device);
}

std::vector<at::Tensor> Casts::list(at::TensorList tensors) const {
  return each_cast(*this, tensors);
}

std::vector<at::Tensor> Casts::list(const at::ITensorListRef& tensors) const {
  return each_cast(*this, tensors);
}

void Widest::operator()(const at::Tensor& tensor) {
  if (!at::autocast::is_eligible(tensor, device_)) return;
  const auto dtype = tensor.scalar_type();
  const bool is_low = dtype != c10::kFloat;
  if (widest_ == kAsItIs) first_is_low_ = is_low;
  if (widest_ != kAsItIs) others_are_fp32_ = (others_are_fp32_ || !any_other_) && !is_low;
  any_other_ |= widest_ != kAsItIs;
  any_low_ |= is_low;
  mixed_ |= widest_ != kAsItIs && widest_ != dtype;
  widest_ = widest_ == kAsItIs || widest_ == dtype ? dtype : c10::kFloat;
}

}  // namespace amp::autocast
