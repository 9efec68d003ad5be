// fp16 and bf16 flash attention on the CPU, computed in fp32.
#include "src/ops/flash_attention.h"

#include <c10/core/SymIntArrayRef.h>  // the dispatch headers below want it first

#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "src/cpu_math/low_precision.h"
#include "src/cpu_math/switches.h"

namespace amp::ops {
namespace {

using at::Tensor;
using cpu_math::rounded;
using cpu_math::widened;
using cpu_math::widens;
using Mask = std::optional<Tensor>;

// Operands of several dtypes are LibTorch's to refuse.
bool attends_narrow(const Tensor& query, const Tensor& key, const Tensor& value) {
  const auto dtype = query.scalar_type();
  return widens(dtype) && key.scalar_type() == dtype && value.scalar_type() == dtype &&
         query.numel() > 0;
}

Mask widened_mask(const Mask& mask) {
  const bool narrow = mask.has_value() && mask->defined() && mask->is_floating_point();
  return narrow ? Mask(widened(*mask)) : mask;
}

// Returns the output and, in fp32, the logarithm of each row's sum of exponentials.
std::tuple<Tensor, Tensor> attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                     double dropout, bool causal, const Mask& mask,
                                     std::optional<double> scale) {
  if (!attends_narrow(query, key, value)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, causal,
                                                                mask, scale);
  }
  const auto [output, sums] = at::cpu::_scaled_dot_product_flash_attention_for_cpu(
      widened(query), widened(key), widened(value), dropout, causal, widened_mask(mask), scale);
  return {rounded(output, query), sums};
}

std::tuple<Tensor, Tensor, Tensor> attention_backward(const Tensor& gradient, const Tensor& query,
                                                      const Tensor& key, const Tensor& value,
                                                      const Tensor& output, const Tensor& sums,
                                                      double dropout, bool causal, const Mask& mask,
                                                      std::optional<double> scale) {
  if (!attends_narrow(query, key, value)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
        gradient, query, key, value, output, sums, dropout, causal, mask, scale);
  }
  const auto [of_query, of_key, of_value] =
      at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
          widened(gradient), widened(query), widened(key), widened(value), widened(output), sums,
          dropout, causal, widened_mask(mask), scale);
  return {rounded(of_query, query), rounded(of_key, query), rounded(of_value, query)};
}

}  // namespace

void register_flash_attention(torch::Library& library) {
  library.impl("_scaled_dot_product_flash_attention_for_cpu", TORCH_FN(attention));
  library.impl("_scaled_dot_product_flash_attention_for_cpu_backward",
               TORCH_FN(attention_backward));
}

}  // namespace amp::ops
