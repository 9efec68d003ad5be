// The gradients of a layer norm's weight and bias, summed in fp32.
#include "src/ops/layer_norm.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/native_layer_norm_backward_cpu_dispatch.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <array>
#include <cstddef>
#include <optional>
#include <tuple>

#include "src/cpu_math/switches.h"
#include "src/kernels/kernels.h"
#include "src/tensor_lists/operands.h"

namespace amp::ops {
namespace {

using at::Tensor;
using cpu_math::sums_norms;
using Maybe = std::optional<Tensor>;

constexpr std::int64_t kRows =
    64;  // of a sum in one go; what depends on it is the same for any threads

bool is_there(const Maybe& tensor) { return tensor.has_value() && tensor->defined(); }

// Others are LibTorch's to compute, or to refuse.
bool sums(const Tensor& gradient, const Tensor& input, const Tensor& mean, const Maybe& weight,
          const Maybe& bias, const std::array<bool, 3>& wanted) {
  const auto dtype = input.scalar_type();
  return (wanted[1] || wanted[2]) && sums_norms(dtype) && gradient.scalar_type() == dtype &&
         gradient.sizes() == input.sizes() && mean.numel() > 0 && input.numel() > 0 &&
         (!wanted[1] || is_there(weight)) && (!wanted[2] || is_there(bias));
}

Tensor in_fp32(const Tensor& tensor) { return tensor.to(c10::kFloat).contiguous(); }

// Sums of kRows rows each, then those one after the other: [2, width].
Tensor sums_of(const Tensor& gradient, const Tensor& input, const Tensor& mean,
               const Tensor& rstd) {
  const auto rows = mean.numel(), width = input.numel() / rows;
  const auto parts = (rows + kRows - 1) / kRows;
  const auto partial = at::zeros({parts, 2, width}, mean.options());
  const auto g = tensor_lists::read(gradient), x = tensor_lists::read(input);
  const auto* means = mean.const_data_ptr<float>();
  const auto* rstds = rstd.const_data_ptr<float>();
  auto* out = partial.data_ptr<float>();
  const auto norm_sums = kernels::table().norm_sums;
  at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto part = begin; part < end; ++part) {
      const auto first = part * kRows, count = std::min(kRows, rows - first);
      const auto element = static_cast<std::size_t>(first * width);
      norm_sums(tensor_lists::from(g, element), tensor_lists::from(x, element), means + first,
                rstds + first, static_cast<std::size_t>(count), static_cast<std::size_t>(width),
                out + 2 * part * width, out + (2 * part + 1) * width);
    }
  });
  return partial.sum(0);
}

std::tuple<Tensor, Tensor, Tensor> layer_norm_backward(const Tensor& gradient, const Tensor& input,
                                                       at::IntArrayRef shape, const Tensor& mean,
                                                       const Tensor& rstd, const Maybe& weight,
                                                       const Maybe& bias,
                                                       std::array<bool, 3> wanted) {
  if (!sums(gradient, input, mean, weight, bias, wanted)) {
    return at::cpu::native_layer_norm_backward(gradient, input, shape, mean, rstd, weight, bias,
                                               wanted);
  }
  std::tuple<Tensor, Tensor, Tensor> result;
  if (wanted[0])
    std::get<0>(result) = std::get<0>(at::cpu::native_layer_norm_backward(
        gradient, input, shape, mean, rstd, weight, bias, {true, false, false}));
  const auto both =
      sums_of(gradient.contiguous(), input.contiguous(), in_fp32(mean), in_fp32(rstd));
  if (wanted[1]) std::get<1>(result) = both.select(0, 0).view(shape).to(weight->scalar_type());
  if (wanted[2]) std::get<2>(result) = both.select(0, 1).view(shape).to(bias->scalar_type());
  return result;
}

}  // namespace

void register_layer_norm(torch::Library& library) {
  library.impl("native_layer_norm_backward", TORCH_FN(layer_norm_backward));
}

}  // namespace amp::ops
