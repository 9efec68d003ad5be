// Whether a tensor is another one rounded.
#include "src/tensor_lists/rounded.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "src/tensor_lists/chunk_list.h"
#include "src/tensor_lists/operands.h"

namespace amp::tensor_lists {
namespace {

bool lie_alike(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes().equals(b.sizes()) && a.is_non_overlapping_and_dense() &&
         b.is_non_overlapping_and_dense() &&
         (a.strides().equals(b.strides()) || (a.is_contiguous() && b.is_contiguous()));
}

}  // namespace

bool is_rounded(const at::Tensor& numbers, const at::Tensor& rounded) {
  if (!lie_alike(numbers, rounded)) return false;
  const auto from = read(numbers), to = read(rounded);
  const auto& table = kernels::table();
  std::atomic<bool> same = true;
  constexpr auto kStep = static_cast<std::int64_t>(kChunk);
  at::parallel_for(
      0, numbers.numel(), kElementsPerThread, [&](std::int64_t begin, std::int64_t end) {
        for (auto first = begin; first < end && same.load(std::memory_order_relaxed);
             first += kStep) {
          const auto at = static_cast<std::size_t>(first);
          const auto* start = static_cast<const float*>(tensor_lists::from(from, at).data);
          const auto count = static_cast<std::size_t>(std::min(kStep, end - first));
          if (!table.is_rounded(start, tensor_lists::from(to, at), count))
            same.store(false, std::memory_order_relaxed);
        }
      });
  return same;
}

}  // namespace amp::tensor_lists
