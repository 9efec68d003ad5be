// bf16 and fp16 weights that stand for fp32 ones.
#include "src/optim/low_precision.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include "amp/weight_checks.h"
#include "src/tensor_lists/operands.h"
#include "src/tensor_lists/rounded.h"

namespace amp::optim {

using kernels::WeightForm;

bool is_low_precision(c10::ScalarType dtype) {
  return dtype == c10::kBFloat16 || dtype == c10::kHalf;
}

std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0
                               : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

kernels::Weights weights_of(const at::Tensor& parameter, const ParameterState& state,
                            const MemoryOptions& memory, const at::Tensor& copy) {
  kernels::Weights weights;
  const bool low = is_low_precision(parameter.scalar_type());
  const auto& rounded = low ? parameter : copy;
  if (rounded.defined()) {
    weights.low = tensor_lists::write_bits(rounded);
    weights.low_format = tensor_lists::read(rounded).format;
  }
  if (!low || memory.weights == LowPrecisionWeights::master) {
    weights.fp32 = static_cast<float*>(tensor_lists::write(low ? state.master : parameter).data);
    return weights;
  }
  weights.extra = tensor_lists::write_bits(state.extra);
  switch (memory.weights) {
    case LowPrecisionWeights::split:
      weights.form = WeightForm::split;
      break;
    case LowPrecisionWeights::kahan:
      weights.form = WeightForm::kahan;
      break;
    case LowPrecisionWeights::stochastic:
      weights.form = WeightForm::stochastic;
      break;
    default:
      weights.form = WeightForm::nearest;
  }
  return weights;
}

void take_changes(const at::Tensor& parameter, ParameterState& state) {
  if (!state.master.defined()) return;
  const auto version = version_of(parameter);
  if (version == state.version) {
    // It may have been changed without a new one, see weight_checks.h.
    if (!parameter.is_cpu() || weight_checks() == WeightChecks::trusting ||
        tensor_lists::is_rounded(state.master, parameter))
      return;
  }
  state.version = version;
  const auto now = parameter.detach();
  const auto unchanged = state.master.to(now.scalar_type()) == now;
  state.master.copy_(at::where(unchanged, state.master, now.to(c10::kFloat)));
}

at::Tensor value_of(const at::Tensor& parameter, const ParameterState& state,
                    const MemoryOptions& memory) {
  const auto now = parameter.detach();
  if (!is_low_precision(now.scalar_type())) return now;
  if (state.master.defined()) {
    const auto unchanged = state.master.to(now.scalar_type()) == now;
    return at::where(unchanged, state.master, now.to(c10::kFloat));
  }
  // If somebody replaced a weight, what is kept beside it is dropped where it does not fit:
  // weights-inl.h.
  if (memory.weights == LowPrecisionWeights::split && state.extra.defined()) {
    const auto upper = now.view(c10::kShort).to(c10::kInt).bitwise_left_shift(16);
    const auto below_zero = (now == 0).logical_and(state.extra < 0);
    const auto above_inf = now.isinf().logical_and(state.extra > 0);
    return upper.add_(state.extra.masked_fill(below_zero.logical_or(above_inf), 0))
        .view(c10::kFloat);
  }
  const auto value = now.to(c10::kFloat);
  if (!state.extra.defined()) return value;
  const auto is_its_own = (value + 0.5 * state.extra.to(c10::kFloat)).to(now.scalar_type()) == now;
  return value + state.extra.masked_fill(is_its_own.logical_not(), 0);
}

}  // namespace amp::optim
