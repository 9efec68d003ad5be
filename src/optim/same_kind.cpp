// Copies of many tensors by few calls.
#include "src/optim/same_kind.h"

#include <ATen/ops/_foreach_copy.h>

#include <algorithm>
#include <utility>

namespace amp::optim {

void raise_version(const at::Tensor& tensor) {
  if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

void ListCopy::add(at::Tensor target, at::Tensor source) {
  const auto device = target.device();
  const auto from = source.scalar_type(), to = target.scalar_type();
  auto kind = std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& known) {
    return known.device == device && known.from == from && known.to == to;
  });
  if (kind == kinds_.end()) kind = kinds_.insert(kind, {device, from, to, {}, {}});
  kind->targets.push_back(std::move(target));
  kind->sources.push_back(std::move(source));
}

void ListCopy::run() {
  for (const auto& kind : kinds_) {
    at::_foreach_copy_(kind.targets, kind.sources, /*non_blocking=*/true);
    for (const auto& target : kind.targets) raise_version(target);
  }
  kinds_.clear();
}

}  // namespace amp::optim
