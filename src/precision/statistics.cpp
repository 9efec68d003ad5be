// statistics, format_loss and exponent_histogram: counts taken chunk by chunk.
#include <algorithm>
#include <vector>

#include "amp/precision.h"
#include "src/precision/grid.h"
#include "src/precision/operand.h"
#include "src/tensor_lists/chunk_list.h"
#include "src/tensor_lists/operands.h"

namespace amp {
namespace {

kernels::Survey survey(const at::Tensor& x, Format format, float scale) {
  const auto values = precision::on_host(x, /*in_order=*/false);
  const auto source = tensor_lists::read(values);
  const auto grid = precision::grid_of(format, {});
  const auto& kernels = kernels::table();
  tensor_lists::ChunkList chunks;
  chunks.add(static_cast<std::size_t>(values.numel()));
  std::vector<kernels::Survey> parts(chunks.size());
  chunks.run([&](std::size_t i) {
    parts[i] =
        kernels.survey(tensor_lists::from(source, chunks[i].first), chunks[i].count, grid, scale);
  });
  kernels::Survey sum;
  for (const auto& part : parts) {
    sum.zeros += part.zeros;
    sum.infs += part.infs;
    sum.nans += part.nans;
    sum.overflowed += part.overflowed;
    sum.flushed += part.flushed;
    sum.subnormal += part.subnormal;
    sum.amax = std::max(sum.amax, part.amax);
  }
  return sum;
}

}  // namespace

FormatLoss format_loss(const at::Tensor& x, Format format, double scale) {
  precision::check_operand("format_loss", x);
  precision::check_scale("format_loss", scale);
  const auto found = survey(x, format, static_cast<float>(scale));
  return {.total = x.numel(),
          .nonzero = x.numel() - found.zeros - found.infs - found.nans,
          .overflowed = found.overflowed,
          .flushed_to_zero = found.flushed,
          .subnormal = found.subnormal};
}

TensorStatistics statistics(const at::Tensor& x) {
  precision::check_operand("statistics", x);
  const auto found = survey(x, Format::fp32, 1);
  return {.amax = double{found.amax},
          .total = x.numel(),
          .zeros = found.zeros,
          .infs = found.infs,
          .nans = found.nans};
}

ExponentHistogram exponent_histogram(const at::Tensor& x) {
  precision::check_operand("exponent_histogram", x);
  const auto values = precision::on_host(x, /*in_order=*/false);
  const auto source = tensor_lists::read(values);
  const auto& kernels = kernels::table();
  tensor_lists::ChunkList chunks;
  chunks.add(static_cast<std::size_t>(values.numel()));
  std::vector<kernels::ExponentHistogram> parts(chunks.size());
  chunks.run([&](std::size_t i) {
    kernels.count_exponents(tensor_lists::from(source, chunks[i].first), chunks[i].count, parts[i]);
  });
  ExponentHistogram histogram;
  for (const auto& part : parts) {
    // 2^-149 to 2^-127, then the biased exponents 1 to 254.
    for (std::size_t e = 0; e < 23; ++e) histogram.counts[e] += part.subnormal[e];
    for (std::size_t e = 1; e < 255; ++e) histogram.counts[e + 22] += part.counts[e];
    histogram.zero += part.zeros;
    histogram.inf += part.infs;
    histogram.nan += part.counts[255] - part.infs;
  }
  return histogram;
}

}  // namespace amp
