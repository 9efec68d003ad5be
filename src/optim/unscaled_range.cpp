// Whether unscaled gradients fit where they are stored.
#include "src/optim/unscaled_range.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace amp::optim {
namespace {

constexpr std::uint32_t kInfinity = 0x7F80;  // in bf16

float value_of(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// The smallest positive bf16, as bits, whose product is Inf in bf16.
std::uint32_t first_to_overflow(float inv_scale) {
  std::uint32_t low = 0, high = kInfinity;
  while (low < high) {
    const auto middle = (low + high) / 2;
    if (value_of(middle) * inv_scale >= kInfInBf16)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

}  // namespace

bool is_stored_in_bf16(const Entry& entry, bool gives_back) {
  return entry.gradient.scalar_type() == c10::kBFloat16 &&
         (gives_back || entry.slot->dtype == c10::kBFloat16);
}

bool overflows_bf16(kernels::ConstSpan gradient, std::size_t count, float inv_scale) {
  if (!(inv_scale > 1)) return false;
  const auto limit = first_to_overflow(inv_scale);
  const auto* bits = static_cast<const std::uint16_t*>(gradient.data);
  bool found = false;
  for (std::size_t i = 0; i < count; ++i) found |= (bits[i] & 0x7FFFU) >= limit;
  return found;
}

}  // namespace amp::optim
