// How good a model is, in words.
#include "app/results/measures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

namespace ampersand {
namespace {

using amp::Measure;
using amp::MeasureKind;
using nlohmann::json;

constexpr const char* kKinds[] = {"share", "positive", "number"};

}  // namespace

json to_json(const Measure& measure) {
  return {{"key", measure.key},
          {"name", measure.name},
          {"kind", kKinds[static_cast<int>(measure.kind)]},
          {"higher_is_better", measure.higher_is_better},
          {"decimals", measure.decimals}};
}

std::optional<Measure> measure_of(const json& object) {
  try {
    const auto kind = std::ranges::find(kKinds, object.at("kind").get<std::string>());
    if (kind == std::end(kKinds)) return std::nullopt;
    return Measure{object.at("key"), object.at("name"), static_cast<MeasureKind>(kind - kKinds),
                   object.at("higher_is_better"), object.at("decimals")};
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

Measure measure_named(const std::string& key) {
  return key == "perplexity" ? amp::perplexity_measure() : amp::accuracy_measure();
}

std::vector<Measure> measures_of(const json& results) {
  const auto field = [](const json& object, const char* name) {
    return object.is_object() && object.contains(name) ? object.at(name) : json();
  };
  std::vector<Measure> measures;
  for (const auto& object : field(field(results, "settings"), "measures")) {
    if (const auto measure = measure_of(object)) measures.push_back(*measure);
  }
  if (!measures.empty()) return measures;
  const auto runs = field(results, "runs");
  // null: of a run that went non-finite.
  const auto has_perplexity = [&](const json& run) {
    return run.is_object() && run.contains("perplexity") &&
           (run.at("perplexity").is_number() || run.at("perplexity").is_null());
  };
  if (std::ranges::any_of(runs, has_perplexity))
    return {amp::perplexity_measure(), amp::bits_per_byte_measure()};
  return {amp::accuracy_measure()};
}

Measure first_measure(const json& results) { return measures_of(results).front(); }

double factor_of(const Measure& measure) { return measure.kind == MeasureKind::share ? 100 : 1; }

std::string number_in_words(const Measure& measure, double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", measure.decimals, factor_of(measure) * value);
  return text;
}

std::string value_in_words(const Measure& measure, double value) {
  return number_in_words(measure, value) + (measure.kind == MeasureKind::share ? " %" : "");
}

Goodness::Goodness(const Measure& measure, double baseline_mean)
    : kind_(measure.kind), sign_(measure.higher_is_better ? 1 : -1) {
  if (kind_ == MeasureKind::number && baseline_mean != 0) scale_ = std::abs(baseline_mean);
}

double Goodness::of(double value) const {
  return sign_ * (kind_ == MeasureKind::positive ? std::log(value) : value / scale_);
}

double Goodness::told(double difference) const {
  const double value = sign_ * difference;
  return kind_ == MeasureKind::positive ? std::expm1(value) : value;
}

double Goodness::width_told(double width) const {
  return kind_ == MeasureKind::positive ? std::expm1(width) : width;
}

double Goodness::width_of(double told) const {
  return kind_ == MeasureKind::positive ? std::log1p(told) : told;
}

bool is_relative(const Measure& measure) { return measure.kind != MeasureKind::share; }

const char* unit_of_difference(bool is_relative) { return is_relative ? " %" : " points"; }

std::string column_name(const Measure& measure) {
  if (measure.kind == MeasureKind::share) return "test " + measure.name;
  auto name = measure.name;
  if (const auto per = name.find(" per "); per != std::string::npos) name.replace(per, 5, "/");
  return name;
}

}  // namespace ampersand
