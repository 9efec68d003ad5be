// The names of precisions on the command line.
#include "app/training/named_precision.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "amp/error.h"
#include "amp/precision.h"

namespace ampersand {
namespace {

constexpr std::string_view kFixedPrefix = "fp16-scale-";
constexpr std::string_view kEmulatedEnding = "-emulated";

double parse_scale(std::string_view text, const std::string& option) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  // Below the smallest normal number of fp32, the inverse that unscales is infinite.
  using Fp32 = std::numeric_limits<float>;
  if (!whole || !(value >= Fp32::min()) || value > Fp32::max()) {
    throw amp::InvalidArgument(option +
                               ": the loss scale must be a finite positive number of fp32, got '" +
                               std::string(text) + "'");
  }
  return value;
}

amp::Recipe fixed_fp16(double scale) {
  auto recipe = amp::Recipe::fp16();
  recipe.loss_scaling = amp::LossScaling::fixed;
  recipe.static_scale = scale;
  return recipe;
}

}  // namespace

Precision parse_precision(const std::string& name) {
  if (name == "fp32") return {name, amp::Recipe::fp32()};
  if (name == "bf16") return {name, amp::Recipe::bf16()};
  if (name == "fp16") return {name, amp::Recipe::fp16()};
  if (name == "fp16-unscaled") {
    auto recipe = amp::Recipe::fp16();
    recipe.loss_scaling = amp::LossScaling::none;
    return {name, recipe};
  }
  if (name == "O0") return {name, amp::Recipe::O0()};
  if (name == "O1") return {name, amp::Recipe::O1()};
  if (name == "O2") return {name, amp::Recipe::O2()};
  if (name == "O3") return {name, amp::Recipe::O3()};
  if (name == "fp8-emulated") return {name, amp::Recipe::fp8()};
  if (name.ends_with(kEmulatedEnding)) {
    const auto format = name.substr(0, name.size() - kEmulatedEnding.size());
    return {name, amp::Recipe::emulated(amp::format_of(format))};
  }
  if (name.starts_with(kFixedPrefix)) {
    return {name,
            fixed_fp16(parse_scale(std::string_view(name).substr(kFixedPrefix.size()), name))};
  }
  throw amp::InvalidArgument(
      "precision must be fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated (tf32, "
      "bf16, "
      "fp16, e4m3, e5m2 or fp8) or O0 to O3, got '" +
      name + "'");
}

std::vector<Precision> parse_precisions(const std::string& list) {
  std::vector<Precision> precisions;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const auto end = std::min(list.find(',', begin), list.size());
    const auto name = list.substr(begin, end - begin);
    if (name.empty()) throw amp::InvalidArgument("--precisions: empty item in '" + list + "'");
    const auto same = [&](const Precision& other) { return other.name == name; };
    if (std::any_of(precisions.begin(), precisions.end(), same)) {
      throw amp::InvalidArgument("--precisions: '" + name + "' is given twice in '" + list + "'");
    }
    precisions.push_back(parse_precision(name));
    begin = end + 1;
  }
  return precisions;
}

void set_loss_scale(Precision& precision, const std::string& value) {
  if (precision.name.starts_with("fp16-")) {
    throw amp::InvalidArgument(
        "--loss-scale cannot be combined with precision " + precision.name +
        ", whose name already says how the loss is scaled; use --precision fp16");
  }
  if (value == "dynamic") {
    precision.recipe.loss_scaling = amp::LossScaling::dynamic;
    return;
  }
  precision.recipe.static_scale = parse_scale(value, "--loss-scale");
  precision.recipe.loss_scaling = amp::LossScaling::fixed;
}

c10::ScalarType parse_dtype(const std::string& option, const std::string& name) {
  if (name == "fp32") return c10::kFloat;
  if (name == "bf16") return c10::kBFloat16;
  if (name == "fp16") return c10::kHalf;
  throw amp::InvalidArgument(option + " must be fp32, bf16 or fp16, got '" + name + "'");
}

const char* dtype_name(c10::ScalarType dtype) {
  return dtype == c10::kFloat ? "fp32" : dtype == c10::kHalf ? "fp16" : "bf16";
}

bool is_fp32(const Precision& precision) {
  return precision.recipe.compute_dtype == c10::kFloat && !precision.recipe.emulate.has_value();
}

std::string loss_scaling_name(amp::LossScaling scaling) {
  switch (scaling) {
    case amp::LossScaling::none:
      return "none";
    case amp::LossScaling::fixed:
      return "fixed";
    case amp::LossScaling::dynamic:
      return "dynamic";
  }
  return "none";
}

}  // namespace ampersand
