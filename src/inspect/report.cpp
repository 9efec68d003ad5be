// What an Inspector knows, as JSON.
#include "src/inspect/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/inspect/diagnosis_json.h"
#include "src/op_policy/rule_names.h"

namespace amp::inspect {
namespace {

using Json = nlohmann::ordered_json;

// From the lowest exponent that occurs to the highest.
Json json_of(const ExponentHistogram& histogram) {
  const auto is_there = [](std::int64_t count) { return count > 0; };
  const auto& all = histogram.counts;
  const auto first = std::ranges::find_if(all, is_there);
  auto last = all.end();
  while (last != first && *(last - 1) == 0) --last;
  return {{"lowest", ExponentHistogram::kLowest + (first == all.end() ? 0 : first - all.begin())},
          {"counts", std::vector<std::int64_t>(first, last)},
          {"zero", histogram.zero},
          {"inf", histogram.inf},
          {"nan", histogram.nan}};
}

Json json_of(const TensorSummary& summary) {
  Json formats = Json::object();
  for (const auto& rates : summary.formats) {
    formats[format_name(rates.format)] = {{"overflow", rates.overflow()},
                                          {"underflow", rates.underflow()},
                                          {"flushed", rates.flushed()}};
  }
  const auto& [amax, total, zeros, infs, nans] = summary.statistics;
  return {{"dtype", summary.dtype}, {"amax", amax},
          {"total", total},         {"zeros", zeros},
          {"infs", infs},           {"nans", nans},
          {"formats", formats},     {"exponents", json_of(summary.exponents)}};
}

Json json_of(const OpSummary& op) {
  return {{"op", op.op},
          {"called_as", op.called_as},
          {"module", op.module},
          {"pass", pass_name(op.pass)},
          {"calls", op.calls},
          {"input_amax", op.input_amax},
          {"output", json_of(op.output)}};
}

Json json_of(const Deviation& deviation) {
  return {{"relative_error", number_or_null(deviation.relative_error())},
          {"cosine", number_or_null(deviation.cosine())},
          {"max_ulps", number_or_null(deviation.max_ulps)},
          {"compared", deviation.compared},
          {"beyond_ulp", deviation.beyond_ulp},
          {"lost", deviation.lost}};
}

Json json_of(const Fp32Comparison& comparison) {
  return {{"op", comparison.op},
          {"module", comparison.module},
          {"pass", pass_name(comparison.pass)},
          {"dtype", comparison.dtype},
          {"calls", comparison.calls},
          {"deviation", json_of(comparison.deviation)}};
}

Json json_of(const ParameterRecord& parameter) {
  Json object = {{"name", parameter.name},
                 {"loss_scale", parameter.loss_scale},
                 {"weight", json_of(parameter.weight)},
                 {"gradient", json_of(parameter.gradient)}};
  if (parameter.deviation.compared + parameter.deviation.lost > 0)
    object["deviation"] = json_of(parameter.deviation);
  return object;
}

Json json_of(const StepEvidence& step) {
  return {{"step", step.step},
          {"recorded", step.recorded},
          {"skipped", step.skipped},
          {"loss_scale", step.loss_scale},
          {"loss", number_or_null(step.loss)},
          {"weight_amax", number_or_null(step.weight_amax)},
          {"gradient_amax", number_or_null(step.gradient_amax)},
          {"forward_amax", number_or_null(step.forward_amax)},
          {"backward_amax", number_or_null(step.backward_amax)},
          {"flushed", step.flushed},
          {"non_finite", step.non_finite.has_value() ? inspect::json_of(*step.non_finite) : Json()},
          {"thrown", step.thrown.has_value() ? inspect::json_of(*step.thrown) : Json()}};
}

template <typename Items>
Json list_of(const Items& items) {
  Json list = Json::array();
  for (const auto& item : items) list.push_back(json_of(item));
  return list;
}

}  // namespace

std::string report(const Report& report) {
  Json casts = Json::array();
  for (const auto& count : report.casts) {
    casts.push_back({{"op", count.op},
                     {"by", count.by},
                     {"rule", op_policy::rule_name(count.rule)},
                     {"calls", count.calls},
                     {"casts", count.casts},
                     {"bytes", count.bytes},
                     {"served", count.served}});
  }
  const Json all = {{"diagnosis", inspect::json_of(report.diagnosis)},
                    {"steps", list_of(report.evidence.steps)},
                    {"ops", list_of(report.ops)},
                    {"parameters", list_of(report.parameters)},
                    {"casts", casts},
                    {"shadows", list_of(report.fp32_comparisons)}};
  return all.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace amp::inspect
