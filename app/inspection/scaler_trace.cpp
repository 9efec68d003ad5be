// What metrics.jsonl tells of a loss scaler.
#include "app/inspection/scaler_trace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "amp/error.h"
#include "amp/precision/format.h"
#include "app/results/step_event.h"

namespace ampersand {
namespace {

using nlohmann::json;

const json& chosen_run(const std::vector<json>& events, std::int64_t wanted) {
  const json* found = nullptr;
  for (const auto& event : events) {
    if (event.value("event", "") != "run") continue;
    const bool scaled = event.value("loss_scaling", "none") != "none";
    if (wanted >= 0 ? event.value("run", std::int64_t{-1}) == wanted : scaled) return event;
    if (found == nullptr) found = &event;
  }
  if (wanted >= 0)
    throw amp::InvalidArgument("--run: there is no run " + std::to_string(wanted) +
                               " in this trace");
  if (found == nullptr) throw amp::InvalidArgument("replay: no run has begun in this trace");
  return *found;
}

amp::GradScalerOptions options_of(const json& recipe, const std::string& loss_scaling) {
  amp::GradScalerOptions options;
  const auto& scaler = recipe.at("scaler");
  options.init_scale = scaler.value("init_scale", options.init_scale);
  options.growth_factor = scaler.value("growth_factor", options.growth_factor);
  options.backoff_factor = scaler.value("backoff_factor", options.backoff_factor);
  options.growth_interval = scaler.value("growth_interval", options.growth_interval);
  if (loss_scaling == "fixed") options.init_scale = recipe.at("static_scale").get<double>();
  return options;
}

// Above every gradient that was measured: the end of the histogram's last power of two.
double largest_gradient(const json& event) {
  double largest = 0;
  for (const char* kind : {"activations", "weights"}) {
    const auto& histogram = event.at(kind);
    const auto bins = histogram.at("counts").size();
    if (bins == 0) continue;
    const auto end = histogram.at("first_exponent").get<double>() + static_cast<double>(bins);
    largest = std::max(largest, std::exp2(end));
  }
  return largest;
}

// What was seen is surer than what was measured in another format.
double reconciled(double largest, double scale, bool found_inf) {
  const double limit = amp::format_info(amp::Format::fp16).max_finite / scale;
  if (!found_inf) return std::min(largest, limit);
  return std::max(largest, std::nextafter(limit, std::numeric_limits<double>::infinity()));
}

bool is_boundary(const StepEvent& event, std::int64_t accumulation) {
  return event.is_flush || event.found_inf || event.skipped ||
         event.step % std::max<std::int64_t>(accumulation, 1) == 0;
}

}  // namespace

ScalerTrace scaler_trace(const std::vector<json>& events, std::int64_t wanted) {
  try {
    const auto& run = chosen_run(events, wanted);
    ScalerTrace result;
    result.run = run.at("run").get<std::int64_t>();
    result.precision = run.at("precision").get<std::string>();
    result.loss_scaling = run.at("loss_scaling").get<std::string>();
    if (result.loss_scaling == "none")
      throw amp::InvalidArgument("replay: run " + std::to_string(result.run) + " (" +
                                 result.precision +
                                 ") has no loss scaling; train one with "
                                 "--precision fp16");
    result.options = options_of(run.at("recipe"), result.loss_scaling);
    const auto accumulation = run.at("recipe").value("accumulation", std::int64_t{1});
    std::map<std::int64_t, double> measured;
    for (const auto& event : events) {
      if (event.value("run", std::int64_t{-1}) != result.run) continue;
      const auto kind = event.value("event", "");
      if (kind == "gradients")
        measured[event.at("step").get<std::int64_t>()] = largest_gradient(event);
      const auto step = step_event(event);
      if (!step || !is_boundary(*step, accumulation)) continue;
      amp::ScalerTraceStep entry;
      // What has neither is no trace of a scaler.
      entry.loss_scale = event.at("scale").get<double>();
      entry.found_inf = event.at("skipped").get<bool>();
      if (const auto known = measured.find(step->step); known != measured.end())
        entry.gradient_amax = reconciled(known->second, entry.loss_scale, entry.found_inf);
      result.steps.push_back(step->step);
      result.trace.push_back(entry);
      result.skipped += entry.found_inf ? 1 : 0;
      result.final_scale = entry.loss_scale;
    }
    if (result.trace.empty())
      throw amp::InvalidArgument("replay: run " + std::to_string(result.run) + " has no step yet");
    return result;
  } catch (const json::exception& error) {
    throw amp::InvalidArgument(std::string("replay: the trace is no training's (") + error.what() +
                               "); give a folder that train or compare wrote");
  }
}

}  // namespace ampersand
