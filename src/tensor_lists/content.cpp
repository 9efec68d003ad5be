// A number that changes when a tensor does.
#include "src/tensor_lists/content.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace amp::tensor_lists {
namespace {

// Each word is xored into the sum of its lane, which is then multiplied by an odd number: both steps
// can be undone, so that two sums that differ once stay different. Eight lanes, because a product
// takes as long as several loads.
constexpr std::size_t kLanes = 8;
constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;  // 2^64 / the golden ratio, made odd

std::uint64_t mixed(std::uint64_t sum, std::uint64_t word) {
  return std::rotl((sum ^ word) * kFactor, 29);
}

std::uint64_t word_at(const char* data, std::size_t bytes = sizeof(std::uint64_t)) {
  std::uint64_t word = 0;
  std::memcpy(&word, data, bytes);
  return word;
}

}  // namespace

std::uint64_t content_of(const at::Tensor& tensor) {
  if (!tensor.is_cpu() || tensor.layout() != c10::kStrided ||
      !tensor.is_non_overlapping_and_dense())
    return 0;
  const auto* data = static_cast<const char*>(tensor.const_data_ptr());
  auto left = tensor.nbytes();
  std::array<std::uint64_t, kLanes> sums{};
  constexpr auto kStep = kLanes * sizeof(std::uint64_t);
  for (; left >= kStep; left -= kStep, data += kStep) {
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sums[lane] = mixed(sums[lane], word_at(data + lane * sizeof(std::uint64_t)));
  }
  std::uint64_t all = mixed(0, tensor.nbytes());
  for (const auto sum : sums) all = mixed(all, sum);
  for (; left > 0;) {
    const auto bytes = std::min(left, sizeof(std::uint64_t));
    all = mixed(all, word_at(data, bytes));
    left -= bytes;
    data += bytes;
  }
  return all;
}

}  // namespace amp::tensor_lists
