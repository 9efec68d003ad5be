// quantize, encode and decode.
#include "src/precision/round.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/FunctionRef.h>

#include <algorithm>
#include <string>
#include <vector>

#include "amp/error.h"
#include "src/precision/grid.h"
#include "src/precision/operand.h"
#include "src/tensor_lists/chunk_list.h"
#include "src/tensor_lists/operands.h"

namespace amp {
namespace precision {
namespace {

// Calls work(first, count), which returns an amax, for each chunk; returns the largest.
double in_chunks(std::int64_t size, c10::function_ref<float(std::size_t, std::size_t)> work) {
  tensor_lists::ChunkList chunks;
  chunks.add(static_cast<std::size_t>(size));
  std::vector<float> largest(chunks.size());
  chunks.run([&](std::size_t i) { largest[i] = work(chunks[i].first, chunks[i].count); });
  return largest.empty() ? 0 : double{*std::max_element(largest.begin(), largest.end())};
}

// Two tensors with the same strides.
double round_into(const at::Tensor& to, const at::Tensor& x,
                  const kernels::GridRounding& rounding) {
  const auto source = tensor_lists::read(x);
  const auto target = tensor_lists::write(to);
  const auto& kernels = kernels::table();
  return in_chunks(x.numel(), [&](std::size_t first, std::size_t count) {
    return kernels.round_to_grid(tensor_lists::from(source, first),
                                 tensor_lists::from(target, first), count, rounding.from(first));
  });
}

c10::ScalarType dtype_of(Format format) {
  switch (format) {
    case Format::bf16:
      return c10::kBFloat16;
    case Format::fp16:
      return c10::kHalf;
    case Format::e4m3:
      return c10::kFloat8_e4m3fn;
    case Format::e5m2:
      return c10::kFloat8_e5m2;
    default:
      return c10::kFloat;
  }
}

}  // namespace

kernels::GridRounding rounding_of(const char* who, Format format, const QuantizeOptions& options) {
  check_scale(who, options.scale);
  const auto scale = static_cast<float>(options.scale);
  return {.grid = grid_of(format, options.saturate),
          .scale = scale,
          .inv_scale = 1 / scale,
          .at_random = options.rounding == Rounding::stochastic,
          .seed = options.seed};
}

at::Tensor quantized(const at::Tensor& x, const kernels::GridRounding& rounding, double* amax) {
  const auto values = on_host(x, rounding.at_random);
  auto result = at::empty_like(values);
  const double found = round_into(result, values, rounding);
  if (amax != nullptr) *amax = found;
  result = result.to(x.options());
  if (result.strides() == x.strides() || !x.is_non_overlapping_and_dense()) return result;
  return at::empty_like(x.detach()).copy_(result);
}

at::Tensor encoded(const at::Tensor& x, Format format, const kernels::GridRounding& rounding,
                   double* amax) {
  const auto values = on_host(x, /*in_order=*/true);
  auto codes = at::empty(values.sizes(), values.options().dtype(dtype_of(format)));
  double found = 0;
  if (is_fp8(format)) {
    const auto source = tensor_lists::read(values);
    auto* target = static_cast<std::uint8_t*>(codes.mutable_data_ptr());
    const auto& kernels = kernels::table();
    found = in_chunks(values.numel(), [&](std::size_t first, std::size_t count) {
      return kernels.encode_8(tensor_lists::from(source, first), target + first, count,
                              rounding.from(first));
    });
  } else {
    auto unscaled = rounding;
    unscaled.inv_scale = 1;
    found = round_into(codes, values, unscaled);
  }
  if (amax != nullptr) *amax = found;
  return codes.to(x.device());
}

}  // namespace precision

at::Tensor quantize(const at::Tensor& x, Format format, const QuantizeOptions& options) {
  precision::check_operand("quantize", x);
  return precision::quantized(x, precision::rounding_of("quantize", format, options));
}

at::Tensor& quantize_(at::Tensor& x, Format format, const QuantizeOptions& options) {
  precision::check_operand("quantize_", x);
  const auto rounding = precision::rounding_of("quantize_", format, options);
  if (x.is_leaf() && x.requires_grad() && c10::GradMode::is_enabled()) {
    throw InvalidArgument(
        "quantize_: x must not be a leaf that requires a gradient while gradients are recorded; "
        "put a torch::NoGradGuard around the call");
  }
  const bool in_place = x.is_cpu() && tensor_lists::has_format(x.scalar_type()) && !x.is_neg() &&
                        (rounding.at_random ? x.is_contiguous() : x.is_non_overlapping_and_dense());
  if (in_place) {
    precision::round_into(x, x, rounding);
    if (!x.is_inference()) x.unsafeGetTensorImpl()->bump_version();
  } else {
    x.detach().copy_(precision::quantized(x, rounding));  // shares the version counter
  }
  return x;
}

at::Tensor encode(const at::Tensor& x, Format format, const QuantizeOptions& options) {
  precision::check_operand("encode", x);
  return precision::encoded(x, format, precision::rounding_of("encode", format, options));
}

at::Tensor decode(const at::Tensor& codes, double scale) {
  precision::check_scale("decode", scale);
  const auto dtype = codes.defined() ? codes.scalar_type() : c10::ScalarType::Undefined;
  const float inv_scale = 1 / static_cast<float>(scale);
  const bool is_e4m3 = dtype == c10::kFloat8_e4m3fn;
  if (!is_e4m3 && dtype != c10::kFloat8_e5m2) {
    precision::check_operand("decode", codes);
    return codes.detach().to(c10::kFloat, /*non_blocking=*/false, /*copy=*/true).mul_(inv_scale);
  }
  const auto values = codes.detach().to(c10::kCPU).contiguous();
  auto numbers = at::empty(values.sizes(), values.options().dtype(c10::kFloat));
  const auto* source = static_cast<const std::uint8_t*>(values.const_data_ptr());
  auto* target = static_cast<float*>(numbers.mutable_data_ptr());
  const auto grid = precision::grid_of(is_e4m3 ? Format::e4m3 : Format::e5m2, {});
  const auto& kernels = kernels::table();
  precision::in_chunks(values.numel(), [&](std::size_t first, std::size_t count) {
    kernels.decode_8(source + first, target + first, count, grid, inv_scale);
    return 0.0f;
  });
  return numbers.to(codes.device());
}

}  // namespace amp
