// What a short training in fp32 tells about the formats that it did not use.
#include "app/inspection/ranges.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "amp/error.h"
#include "amp/precision/format.h"
#include "app/inspection/watch.h"

namespace ampersand {
namespace {

using amp::CastRule;
using amp::ExponentHistogram;
using amp::Format;
using nlohmann::json;

// A share that a training does without: Micikevicius et al. found 5 % of the weight gradients below
// fp16's range in trainings that went well.
constexpr double kBearable = 0.05;
constexpr double kLargestScale = 16777216;  // 2^24

double share_of(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

CastRule rule_of_name(const amp::OpPolicy& policy, const std::string& name) {
  try {
    return policy.rule(name);
  } catch (const amp::InvalidArgument&) {
    return CastRule::keep;
  }
}

bool stays_fp32(CastRule rule) {
  return rule == CastRule::fp32 || rule == CastRule::fp32_set_opt_dtype ||
         rule == CastRule::fp32_append_dtype;
}

std::int64_t numbers_below(const ExponentHistogram& histogram, int exponent) {
  std::int64_t sum = 0;
  for (int e = ExponentHistogram::kLowest; e < std::min(exponent, ExponentHistogram::kHighest + 1);
       ++e)
    sum += histogram.counts[static_cast<std::size_t>(e - ExponentHistogram::kLowest)];
  return sum;
}

std::int64_t numbers_in(const ExponentHistogram& histogram) {
  return numbers_below(histogram, ExponentHistogram::kHighest + 1);
}

// What a format rounds to zero after a scale of 2^exponent: all below half of its smallest number.
std::int64_t flushed(const ExponentHistogram& histogram, Format format, int exponent) {
  const int smallest = std::ilogb(amp::format_info(format).min_subnormal);
  return numbers_below(histogram, smallest - 1 - exponent);
}

// Losses of tensors that have a scale each: the power of two that brings amax just into the range.
class ScaledLosses {
 public:
  explicit ScaledLosses(Format format) : format_(format) {
    loss_.format = amp::format_name(format);
  }

  void add(const std::string& where, const amp::TensorSummary& summary) {
    const double amax = summary.statistics.amax;
    const auto numbers = numbers_in(summary.exponents);
    if (!(amax > 0) || numbers == 0) return;
    const auto scale = std::ilogb(amp::format_info(format_).max_finite / amax);
    const auto lost = flushed(summary.exponents, format_, scale);
    numbers_ += numbers;
    lost_ += lost;
    if (share_of(lost, numbers) <= loss_.worst) return;
    loss_.worst = share_of(lost, numbers);
    loss_.where = where;
  }

  ScaledLoss result() {
    loss_.flushed = share_of(lost_, numbers_);
    return loss_;
  }

 private:
  Format format_;
  ScaledLoss loss_;
  std::int64_t numbers_ = 0, lost_ = 0;
};

std::optional<double> scale_for(double gradient_amax) {
  const double largest = amp::format_info(Format::fp16).max_finite / Ranges::kGradientRoom;
  if (!(gradient_amax > 0)) return kLargestScale;
  const double scale = std::exp2(std::floor(std::log2(largest / gradient_amax)));
  if (scale < 1) return std::nullopt;
  return std::min(scale, kLargestScale);
}

// Losses compute in fp32 inside, and one of their results is the number of targets, no gradient.
bool is_loss(const amp::OpSummary& op) {
  return op.op.find("loss") != std::string::npos || op.called_as.find("loss") != std::string::npos;
}

void find_narrow(Ranges& ranges, const amp::OpSummary& op, const amp::OpPolicy& policy) {
  const auto rule = rule_of(policy, op);
  const double output = op.output.statistics.amax;
  ranges.forward_amax = std::max(ranges.forward_amax, output);
  const double limit = amp::format_info(Format::fp16).max_finite / Ranges::kForwardRoom;
  const bool casts = rule == CastRule::lower_precision;
  const double amax = std::max(output, casts ? op.input_amax : 0);
  if (stays_fp32(rule) || amax <= limit) return;
  ranges.too_wide.push_back({policy_name(policy, op), op.module, amax, casts});
}

}  // namespace

std::string policy_name(const amp::OpPolicy& policy, const amp::OpSummary& op) {
  if (op.called_as.empty()) return op.op;
  return rule_of_name(policy, op.called_as) != CastRule::keep ? op.called_as : op.op;
}

CastRule rule_of(const amp::OpPolicy& policy, const amp::OpSummary& op) {
  return rule_of_name(policy, policy_name(policy, op));
}

bool Ranges::fits_fp16() const {
  return initial_scale.has_value() && flushed_scaled <= kBearable &&
         std::ranges::none_of(too_wide, &NarrowOp::is_product);
}

Ranges find_ranges(const std::vector<amp::OpSummary>& ops,
                   const std::vector<amp::ParameterRecord>& parameters,
                   const amp::OpPolicy& policy) {
  Ranges ranges;
  ScaledLosses weights(Format::e4m3), activations(Format::e4m3), gradients(Format::e5m2);
  ExponentHistogram all_gradients;
  for (const auto& op : ops) {
    if (op.pass == amp::Pass::forward) {
      find_narrow(ranges, op, policy);
      activations.add(op.module.empty() ? shown_op(op.called_as, op.op) : op.module, op.output);
      continue;
    }
    if (is_loss(op) || stays_fp32(rule_of(policy, op))) continue;
    ranges.gradient_amax = std::max(ranges.gradient_amax, op.output.statistics.amax);
    for (std::size_t i = 0; i < all_gradients.counts.size(); ++i)
      all_gradients.counts[i] += op.output.exponents.counts[i];
    gradients.add(op.module.empty() ? shown_op(op.called_as, op.op) : op.module, op.output);
  }
  for (const auto& parameter : parameters) weights.add(parameter.name, parameter.weight);
  ranges.initial_scale = scale_for(ranges.gradient_amax);
  const auto total = numbers_in(all_gradients);
  const int exponent = std::ilogb(ranges.initial_scale.value_or(1));
  ranges.flushed_unscaled = share_of(flushed(all_gradients, Format::fp16, 0), total);
  ranges.flushed_scaled = share_of(flushed(all_gradients, Format::fp16, exponent), total);
  ranges.weights = weights.result();
  ranges.activations = activations.result();
  ranges.gradients = gradients.result();
  return ranges;
}

json ranges_json(const Ranges& ranges) {
  const auto loss_json = [](const ScaledLoss& loss) {
    return json{{"format", loss.format},
                {"flushed", loss.flushed},
                {"worst", loss.worst},
                {"worst_at", loss.where}};
  };
  json wide = json::array();
  for (const auto& op : ranges.too_wide)
    wide.push_back(
        {{"op", op.op}, {"module", op.module}, {"amax", op.amax}, {"product", op.is_product}});
  return {{"forward_amax", ranges.forward_amax},
          {"gradient_amax", ranges.gradient_amax},
          {"too_wide_for_fp16", wide},
          {"fp16_initial_scale",
           ranges.initial_scale.has_value() ? json(*ranges.initial_scale) : json()},
          {"gradients_flushed_in_fp16_unscaled", ranges.flushed_unscaled},
          {"gradients_flushed_in_fp16_scaled", ranges.flushed_scaled},
          {"fp8",
           {{"weights", loss_json(ranges.weights)},
            {"activations", loss_json(ranges.activations)},
            {"gradients", loss_json(ranges.gradients)}}}};
}

}  // namespace ampersand
