// Values of weights that a training or a file cannot take.
#include "app/models/weight_values.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "amp/checkpoint.h"
#include "amp/error.h"

namespace ampersand {
namespace {

// The largest finite number of a format, and its name in this program.
struct Range {
  double largest;
  const char* name;
};

Range range_of(c10::ScalarType dtype) {
  if (dtype == c10::kHalf) return {65504, "fp16"};
  if (dtype == c10::kBFloat16) return {0x1.fep127, "bf16"};
  if (dtype == c10::kFloat) return {std::numeric_limits<float>::max(), "fp32"};
  return {std::numeric_limits<double>::max(), c10::toString(dtype)};
}

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// What holds such a value, of what --dtype may be.
std::string holders(double value) {
  const auto holds = [&](c10::ScalarType dtype) { return value <= range_of(dtype).largest; };
  if (holds(c10::kBFloat16)) return "bf16 and fp32 hold it";
  return holds(c10::kFloat) ? "fp32 holds it" : "no format of this program holds it";
}

}  // namespace

at::Tensor narrowed(const std::string& who, const std::string& name, const at::Tensor& tensor,
                    c10::ScalarType dtype, bool saturate) {
  c10::NoGradGuard no_grad;
  if (!tensor.is_floating_point()) return tensor;
  auto result = tensor.to(dtype);
  const auto lost = at::isinf(result).logical_and_(at::isfinite(tensor));
  const auto count = lost.sum().item<std::int64_t>();
  if (count == 0) return result;
  const auto [largest, format] = range_of(dtype);
  if (saturate) {
    const auto limited = tensor.clamp(-largest, largest).to(dtype);
    return at::where(lost, limited, result);
  }
  const auto values = tensor.masked_select(lost);
  const auto value = values[values.abs().argmax()].item<double>();
  throw amp::InvalidArgument(who + ": tensor '" + name + "' holds " + shown(value) + " (" +
                             std::to_string(count) + (count == 1 ? " value" : " values") +
                             " beyond " + shown(largest) + "), which would be Inf in " + format +
                             "; " + holders(std::abs(value)));
}

amp::NamedTensors narrowed(const std::string& who, const amp::NamedTensors& weights,
                           c10::ScalarType dtype, bool saturate) {
  amp::NamedTensors result;
  for (const auto& [name, tensor] : weights)
    result.emplace_back(name, narrowed(who, name, tensor, dtype, saturate));
  return result;
}

amp::NamedTensors weights_of(Model& model) {
  if (const auto* module = model.module(); module != nullptr) return amp::named_weights(*module);
  if (const auto* script = model.script_module(); script != nullptr)
    return amp::named_weights(*script);
  return {};
}

void check_finite(Model& model, const std::filesystem::path& file) {
  c10::NoGradGuard no_grad;
  const auto buffers = model.buffers();
  std::string first;
  std::int64_t tensors = 0;
  for (const auto& [name, tensor] : weights_of(model)) {
    if (!tensor.is_floating_point()) continue;
    const auto is_it = [&weight = tensor](const at::Tensor& buffer) {
      return weight.is_alias_of(buffer) && weight.numel() == buffer.numel();
    };
    const bool is_buffer = std::ranges::any_of(buffers, is_it);
    const auto wrong = is_buffer ? at::isnan(tensor) : at::isfinite(tensor).logical_not();
    const auto count = wrong.sum().item<std::int64_t>();
    if (count == 0) continue;
    if (++tensors == 1)
      first = "'" + name + "' holds " + std::to_string(count) + " of " +
              std::to_string(tensor.numel()) + " values that are NaN or Inf";
  }
  if (tensors == 0) return;
  throw amp::IoError(file, "initial weights must be finite: tensor " + first +
                               (tensors > 1 ? ", and " + std::to_string(tensors - 1) +
                                                  " more tensors hold such values"
                                            : "") +
                               "; give weights from before they became so");
}

void check_range(Model& model, c10::ScalarType dtype) {
  if (dtype == c10::kFloat) return;
  for (const auto& [name, tensor] : weights_of(model))
    narrowed("initial weights", name, tensor, dtype);
}

}  // namespace ampersand
