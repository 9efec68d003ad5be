// How far a result in low precision lies from fp32's.
#include "src/inspect/deviation.h"

#include <ATen/Parallel.h>
#include <c10/util/irange.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace amp {

double Deviation::relative_error() const {
  if (error_squares == 0) return 0;
  if (fp32_squares == 0) return std::numeric_limits<double>::infinity();
  return std::sqrt(error_squares / fp32_squares);
}

double Deviation::cosine() const {
  if (own_squares == 0 && fp32_squares == 0) return 1;
  if (own_squares == 0 || fp32_squares == 0) return 0;
  return std::clamp(products / std::sqrt(own_squares) / std::sqrt(fp32_squares), -1.0, 1.0);
}

bool Deviation::departs(Format format) const {
  const double rounding = format_info(format).epsilon / 4;  // of a number in the middle, on average
  return lost > 0 || relative_error() > kRoundings * rounding;
}

void Deviation::add(const Deviation& other) {
  compared += other.compared;
  lost += other.lost;
  beyond_ulp += other.beyond_ulp;
  max_ulps = std::max(max_ulps, other.max_ulps);
  error_squares += other.error_squares;
  own_squares += other.own_squares;
  fp32_squares += other.fp32_squares;
  products += other.products;
}

namespace inspect {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

// 2^-exponent of the format's ulp at x: its exponent, or that of the smallest normal number.
double inverse_ulp(float x, int min_exponent, int mantissa_bits) {
  const int biased = static_cast<int>(std::bit_cast<std::uint32_t>(x) >> 23 & 0xFF);
  const int exponent = std::max(biased - 127, min_exponent);
  return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + mantissa_bits - exponent) << 52);
}

struct Reference {
  double squares = 0;
  std::int64_t count = 0;  // of the finite numbers
};

Reference reference_of(const float* fp32, std::int64_t count) {
  Reference sum;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(fp32[i])) continue;
    sum.squares += double{fp32[i]} * double{fp32[i]};
    ++sum.count;
  }
  return sum;
}

// floor: for smaller numbers the ulp is the one at `floor`.
Deviation of_chunk(const float* own, const float* fp32, std::int64_t count, Format format,
                   float scale, float floor) {
  const auto& info = format_info(format);
  const int min_exponent = 1 - info.bias;
  Deviation sum;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(fp32[i])) continue;
    if (!std::isfinite(own[i])) {
      ++sum.lost;
      continue;
    }
    ++sum.compared;
    const double reference = fp32[i];
    const double value = double{own[i]} / scale;
    const double error = value - reference;
    const double ulps = std::abs(error) * inverse_ulp(std::max(std::abs(fp32[i]), floor),
                                                      min_exponent, info.mantissa_bits);
    sum.beyond_ulp += ulps > 1 ? 1 : 0;
    sum.max_ulps = std::max(sum.max_ulps, ulps);
    sum.error_squares += error * error;
    sum.own_squares += value * value;
    sum.fp32_squares += reference * reference;
    sum.products += value * reference;
  }
  return sum;
}

// Works chunk by chunk in parallel, and adds the results in their order, so the sums do not depend
// on threads.
template <typename Result, typename Work>
std::vector<Result> each_chunk(std::int64_t count, Work&& work) {
  std::vector<Result> parts(static_cast<std::size_t>((count + kGrain - 1) / kGrain));
  at::parallel_for(
      0, static_cast<std::int64_t>(parts.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (const auto i : c10::irange(begin, end)) {
          const auto first = i * kGrain;
          parts[static_cast<std::size_t>(i)] = work(first, std::min(kGrain, count - first));
        }
      });
  return parts;
}

at::Tensor on_host_in_fp32(const at::Tensor& tensor) {
  return tensor.detach().to(at::TensorOptions(c10::kCPU).dtype(c10::kFloat)).contiguous();
}

}  // namespace

Deviation deviation_of(const at::Tensor& own, const at::Tensor& fp32, Format format, double scale) {
  const auto left = on_host_in_fp32(own), right = on_host_in_fp32(fp32);
  const auto* own_numbers = left.const_data_ptr<float>();
  const auto* fp32_numbers = right.const_data_ptr<float>();
  const auto count = left.numel();
  Reference reference;
  for (const auto& part : each_chunk<Reference>(count, [&](std::int64_t first, std::int64_t n) {
         return reference_of(fp32_numbers + first, n);
       })) {
    reference.squares += part.squares;
    reference.count += part.count;
  }
  const auto floor = static_cast<float>(std::sqrt(
      reference.squares / static_cast<double>(std::max<std::int64_t>(1, reference.count))));
  Deviation sum;
  for (const auto& part : each_chunk<Deviation>(count, [&](std::int64_t first, std::int64_t n) {
         return of_chunk(own_numbers + first, fp32_numbers + first, n, format,
                         static_cast<float>(scale), floor);
       }))
    sum.add(part);
  return sum;
}

}  // namespace inspect
}  // namespace amp
