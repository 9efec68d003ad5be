// The scaler's arithmetic over a trace.
#include "amp/inspect/replay.h"

#include <cmath>
#include <sstream>

#include "amp/error.h"
#include "amp/precision/format.h"
#include "src/grad_scaler/scale_rule.h"
#include "src/grad_scaler/state.h"
#include "src/grad_scaler/validate.h"

namespace amp {
namespace {

void check(const std::vector<ScalerTraceStep>& trace) {
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const double scale = trace[i].loss_scale, amax = trace[i].gradient_amax.value_or(0);
    if (scaling::is_usable_scale(scale) && (amax >= 0 || std::isnan(amax))) continue;
    std::ostringstream message;
    message
        << "replay: step " << i
        << " of the trace must have a positive finite loss_scale, whose reciprocal is finite in "
           "fp32, and a gradient_amax >= 0, got "
        << scale << " and " << amax << "; leave the steps out that no scaler can have taken";
    throw InvalidArgument(message.str());
  }
}

struct Overflow {
  bool found = false, uncertain = false;
};

Overflow overflow_at(const ScalerTraceStep& step, double scale) {
  static const double largest = format_info(Format::fp16).max_finite;
  if (step.gradient_amax.has_value()) return {!(*step.gradient_amax * scale <= largest)};
  if (step.found_inf) return {scale >= step.loss_scale, scale < step.loss_scale};
  return {false, scale > step.loss_scale};
}

ReplayOutcome run(const std::vector<ScalerTraceStep>& trace, const GradScalerOptions& options) {
  const auto rule = scaling::rule_of(options);
  auto scale = scaling::first_scale(options);
  ReplayOutcome outcome;
  outcome.scales.reserve(trace.size());
  for (const auto& step : trace) {
    const double value = scale.value;
    const auto [found, uncertain] = overflow_at(step, value);
    outcome.scales.push_back(value);
    outcome.skipped += found ? 1 : 0;
    outcome.uncertain += uncertain ? 1 : 0;
    outcome.mean_log2_scale += std::log2(value) / static_cast<double>(trace.size());
    scale = scaling::next_scale(scale, rule, found);
  }
  outcome.final_scale = scale.value;
  return outcome;
}

// Whether `a` is the better outcome. Uncertain steps are no reason to prefer a larger scale.
bool is_better(const ReplayOutcome& a, const ReplayOutcome& b) {
  if (a.skipped != b.skipped) return a.skipped < b.skipped;
  if (a.uncertain != b.uncertain) return a.uncertain < b.uncertain;
  return a.mean_log2_scale > b.mean_log2_scale;
}

}  // namespace

ReplayOutcome replay(const std::vector<ScalerTraceStep>& trace, const GradScalerOptions& options) {
  scaling::check_options(options);
  check(trace);
  return run(trace, options);
}

GradScalerOptions suggest_scaler(const std::vector<ScalerTraceStep>& trace,
                                 GradScalerOptions options) {
  auto best = options;
  auto best_outcome = replay(trace, options);
  for (int exponent = 0; exponent <= 24; ++exponent) {
    options.init_scale = std::exp2(exponent);
    if (options.init_scale < options.min_scale || options.init_scale > options.max_scale) continue;
    for (const std::int64_t interval : {100, 500, 1000, 2000, 4000}) {
      options.growth_interval = interval;
      auto outcome = run(trace, options);
      if (!is_better(outcome, best_outcome)) continue;
      best = options;
      best_outcome = std::move(outcome);
    }
  }
  return best;
}

}  // namespace amp
