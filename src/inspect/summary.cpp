// The numbers of tensors, counted.
#include "src/inspect/summary.h"

#include <algorithm>
#include <cmath>

namespace amp {
namespace {

void add_to(ExponentHistogram& sum, const ExponentHistogram& other) {
  for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += other.counts[i];
  sum.zero += other.zero;
  sum.inf += other.inf;
  sum.nan += other.nan;
}

void add_to(FormatLoss& sum, const FormatLoss& other) {
  sum.total += other.total;
  sum.nonzero += other.nonzero;
  sum.overflowed += other.overflowed;
  sum.flushed_to_zero += other.flushed_to_zero;
  sum.subnormal += other.subnormal;
}

}  // namespace

void TensorSummary::add(const TensorSummary& other) {
  statistics.amax = std::max(statistics.amax, other.statistics.amax);
  statistics.total += other.statistics.total;
  statistics.zeros += other.statistics.zeros;
  statistics.infs += other.statistics.infs;
  statistics.nans += other.statistics.nans;
  add_to(exponents, other.exponents);
  if (formats.empty()) {
    formats = other.formats;
  } else {
    for (std::size_t i = 0; i < std::min(formats.size(), other.formats.size()); ++i)
      add_to(formats[i].loss, other.formats[i].loss);
  }
  dtype = other.dtype;
}

namespace inspect {
namespace {

// Counts of the numbers whose exponent is at least `from` and less than `to`.
std::int64_t between(const ExponentHistogram& histogram, int from, int to) {
  const auto place = [](int exponent) {
    return std::clamp(exponent - ExponentHistogram::kLowest, 0,
                      ExponentHistogram::kHighest - ExponentHistogram::kLowest + 1);
  };
  std::int64_t count = 0;
  for (int i = place(from); i < place(to); ++i)
    count += histogram.counts[static_cast<std::size_t>(i)];
  return count;
}

// By exponents alone, which tell all but the numbers that round across a power of two; and where
// some may overflow that share their exponent with the largest finite number, by a pass of their own.
FormatLoss loss_of(const at::Tensor& tensor, const TensorStatistics& statistics,
                   const ExponentHistogram& histogram, Format format) {
  const auto& info = format_info(format);
  if (statistics.amax > info.max_finite) return format_loss(tensor, format);
  const int smallest = std::ilogb(info.min_subnormal);
  FormatLoss loss;
  loss.total = statistics.total;
  loss.nonzero = statistics.total - statistics.zeros - statistics.infs - statistics.nans;
  // Half of the smallest subnormal is a tie, and goes to zero; what is above it in its power of two
  // does not.
  loss.flushed_to_zero = between(histogram, ExponentHistogram::kLowest, smallest - 1);
  loss.subnormal = between(histogram, smallest - 1, std::ilogb(info.min_normal));
  return loss;
}

}  // namespace

bool has_numbers(const at::Tensor& tensor) {
  if (!tensor.defined()) return false;
  const auto dtype = tensor.scalar_type();
  if (dtype != c10::kFloat && dtype != c10::kHalf && dtype != c10::kBFloat16 &&
      dtype != c10::kDouble)
    return false;
  if (tensor.is_sparse()) return tensor._nnz() > 0;
  return tensor.layout() == c10::kStrided && tensor.has_storage() && tensor.numel() > 0 &&
         !tensor.key_set().has(c10::DispatchKey::Python);
}

TensorSummary summary_of(const at::Tensor& tensor, const SummaryOptions& options) {
  const auto values = tensor.is_sparse() ? tensor._values() : tensor;
  TensorSummary summary;
  summary.dtype = dtype_name(tensor.scalar_type());
  summary.statistics = statistics(values);
  if (!options.histograms) return summary;
  summary.exponents = exponent_histogram(values);
  for (const auto format : options.formats)
    summary.formats.push_back(
        {format, loss_of(values, summary.statistics, summary.exponents, format)});
  return summary;
}

const char* dtype_name(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::kFloat:
      return "fp32";
    case c10::kHalf:
      return "fp16";
    case c10::kBFloat16:
      return "bf16";
    case c10::kDouble:
      return "fp64";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace inspect
}  // namespace amp
