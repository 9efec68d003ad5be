// The numbers of tensors, counted.
#include "src/inspect/summary.h"

#include <ATen/SparseTensorImpl.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

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

at::SparseTensorImpl& sparse_of(const at::Tensor& tensor) {
  return *static_cast<at::SparseTensorImpl*>(tensor.unsafeGetTensorImpl());
}

// A tensor of LibTorch's own, of a dtype and on a device whose numbers can be counted.
bool is_plain(const at::Tensor& tensor) {
  if (!tensor.defined() || !(tensor.is_cpu() || tensor.is_cuda())) return false;
  const auto dtype = tensor.scalar_type();
  if (dtype != c10::kFloat && dtype != c10::kHalf && dtype != c10::kBFloat16 &&
      dtype != c10::kDouble)
    return false;
  const auto wrappers = c10::functorch_transforms_ks | c10::functorch_batched_ks | c10::python_ks |
                        c10::DispatchKeySet(c10::DispatchKey::Functionalize) |
                        c10::DispatchKeySet(c10::DispatchKey::NestedTensor) |
                        c10::DispatchKeySet(c10::DispatchKey::ZeroTensor);
  return !tensor.key_set().has_any(wrappers);
}

// Whether all that the tensor reaches is in its storage, which may have been emptied under it.
bool is_all_there(const at::Tensor& tensor) {
  if (!tensor.has_storage() || tensor.numel() == 0) return false;
  auto last = tensor.storage_offset();
  for (std::int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
  const auto needed = static_cast<std::size_t>((last + 1) * tensor.element_size());
  return tensor.storage().nbytes() >= needed && tensor.storage().data() != nullptr;
}

// Counts by exponents alone, which tell everything except the numbers that round across a power of
// two. If some may overflow that have the exponent of the largest finite number, a pass of its own
// counts those.
FormatLoss loss_of(const at::Tensor& tensor, const TensorStatistics& statistics,
                   const ExponentHistogram& histogram, Format format) {
  const auto& info = format_info(format);
  if (statistics.amax > info.max_finite) return format_loss(tensor, format);
  const int smallest = std::ilogb(info.min_subnormal);
  FormatLoss loss;
  loss.total = statistics.total;
  loss.nonzero = statistics.total - statistics.zeros - statistics.infs - statistics.nans;
  // Half of the smallest subnormal number is a tie, and goes to zero. Larger numbers of the same
  // power of two do not.
  loss.flushed_to_zero = between(histogram, ExponentHistogram::kLowest, smallest - 1);
  loss.subnormal = between(histogram, smallest - 1, std::ilogb(info.min_normal));
  return loss;
}

}  // namespace

bool has_dense_numbers(const at::Tensor& tensor) {
  return is_plain(tensor) && tensor.layout() == c10::kStrided && is_all_there(tensor);
}

bool has_numbers(const at::Tensor& tensor) {
  if (!is_plain(tensor)) return false;
  if (tensor.layout() != c10::kSparse) return has_dense_numbers(tensor);
  return sparse_of(tensor).nnz() > 0 && has_dense_numbers(sparse_of(tensor).values());
}

TensorSummary summary_of(const at::Tensor& tensor, const SummaryOptions& options) {
  const auto values = tensor.is_sparse() ? sparse_of(tensor).values() : tensor;
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

std::string place_of_non_finite(const at::Tensor& tensor) {
  if (!has_dense_numbers(tensor) || tensor.dim() == 0 || tensor.numel() < 2) return {};
  const c10::NoGradGuard no_grad;
  const auto found = at::isfinite(tensor.detach()).logical_not_().nonzero().cpu();
  if (found.size(0) == 0) return {};
  const auto low = found.amin(0), high = found.amax(0);
  std::string place = "[", shape = "[";
  bool is_shared = false;
  for (std::int64_t d = 0; d < tensor.dim(); ++d) {
    const auto first = low[d].item<std::int64_t>();
    const bool same = first == high[d].item<std::int64_t>() && tensor.size(d) > 1;
    is_shared |= same;
    const std::string comma = d == 0 ? "" : ", ";
    place += comma + (same ? std::to_string(first) : ":");
    shape += comma + std::to_string(tensor.size(d));
  }
  return is_shared ? place + "] of " + shape + "]" : std::string();
}

}  // namespace inspect
}  // namespace amp
