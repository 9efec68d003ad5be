// How the player's numbers, tensors and states cross to Python and back.
#include "tests/parity/scaler_exchange.h"

#include <ATen/ops/tensor.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

namespace amp::parity {
namespace {

constexpr std::pair<const char*, c10::ScalarType> kDtypes[] = {
    {"float16", c10::kHalf},   {"bfloat16", c10::kBFloat16}, {"float32", c10::kFloat},
    {"float64", c10::kDouble}, {"int64", c10::kLong},        {"bool", c10::kBool}};

std::string name_of(c10::ScalarType wanted) {
  for (const auto& [name, dtype] : kDtypes) {
    if (wanted == dtype) return name;
  }
  return c10::toString(wanted);
}

std::string hexadecimal(std::uint64_t bits, int digits) {
  std::string text;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    text += "0123456789abcdef"[(bits >> shift) & 15];
  return text;
}

std::string bytes_of(const at::Tensor& tensor) {
  const auto whole = tensor.detach().contiguous();
  const auto* bytes = static_cast<const unsigned char*>(whole.const_data_ptr());
  std::string text;
  for (std::size_t i = 0; i < whole.nbytes(); ++i) text += hexadecimal(bytes[i], 2);
  return text;
}

}  // namespace

double number(const Json& text) { return std::strtod(text.get<std::string>().c_str(), nullptr); }

c10::ScalarType dtype_named(const std::string& wanted) {
  for (const auto& [name, dtype] : kDtypes) {
    if (wanted == name) return dtype;
  }
  throw std::invalid_argument("no dtype " + wanted);
}

at::Tensor tensor_of(const Json& values, c10::ScalarType dtype) {
  std::vector<double> numbers;
  for (const auto& value : values) numbers.push_back(number(value));
  return at::tensor(numbers, c10::kDouble).to(dtype);
}

std::string bits_of(double value) { return hexadecimal(std::bit_cast<std::uint64_t>(value), 16); }
std::string bits_of(float value) { return hexadecimal(std::bit_cast<std::uint32_t>(value), 8); }

Json described(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  Json told = {{"dtype", name_of(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}};
  if (tensor.is_sparse()) {
    told["coalesced"] = tensor.is_coalesced();
    told["indices"] = bytes_of(tensor._indices());
    told["bytes"] = bytes_of(tensor._values());
  } else {
    told["bytes"] = bytes_of(tensor);
  }
  return told;
}

amp::GradScalerOptions options_of(const Json& given) {
  return {.init_scale = number(given.at("init_scale")),
          .growth_factor = number(given.at("growth_factor")),
          .backoff_factor = number(given.at("backoff_factor")),
          .growth_interval = given.at("growth_interval"),
          .enabled = given.at("enabled")};
}

amp::GradScalerState state_of(const Json& given) {
  return {.scale = number(given.at("scale")),
          .growth_factor = number(given.at("growth_factor")),
          .backoff_factor = number(given.at("backoff_factor")),
          .growth_interval = given.at("growth_interval"),
          .growth_tracker = given.at("_growth_tracker"),
          .hysteresis_left = 1,
          .consecutive_skips = 0};
}

Json described(const amp::GradScalerState& state) {
  if (state.empty()) return Json::object();
  return {{"scale", bits_of(static_cast<float>(state.scale))},
          {"growth_factor", bits_of(state.growth_factor)},
          {"backoff_factor", bits_of(state.backoff_factor)},
          {"growth_interval", state.growth_interval},
          {"_growth_tracker", state.growth_tracker}};
}

}  // namespace amp::parity
