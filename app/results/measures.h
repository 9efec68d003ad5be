// How good a model is, in the words of the terminal and the page.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/measure.h"

namespace ampersand {

// {"key", "name", "kind", "higher_is_better", "decimals"}, and back: nothing for what is none.
nlohmann::json to_json(const amp::Measure& measure);
std::optional<amp::Measure> measure_of(const nlohmann::json& object);

// What the runs of results.json are measured by: its settings' list, or, of an earlier version, perplexity where a run
// has it, else accuracy. Never empty; precisions are compared by the first.
std::vector<amp::Measure> measures_of(const nlohmann::json& results);
amp::Measure first_measure(const nlohmann::json& results);

// Of results without a list: perplexity, or accuracy for any other key.
amp::Measure measure_named(const std::string& key);

// "91.20 %" or "4.313"; the number of it alone.
std::string value_in_words(const amp::Measure& measure, double value);
std::string number_in_words(const amp::Measure& measure, double value);
// What a share is multiplied by to be told: 100; others by 1.
double factor_of(const amp::Measure& measure);

// The unit in which two precisions are compared, where more is better: a share itself, the logarithm of what is
// positive, a number as a share of fp32's mean.
class Goodness {
 public:
  explicit Goodness(const amp::Measure& measure, double baseline_mean = 1);

  double of(double value) const;
  // A difference of two goodnesses as it is told: of accuracy, or a share of fp32's value, which is above 0 where the
  // value is higher, be that better or worse.
  double told(double difference) const;
  // A width, such as a deviation, as it is told; and back.
  double width_told(double width) const;
  double width_of(double told) const;

 private:
  amp::MeasureKind kind_;
  double sign_, scale_ = 1;
};

// Whether precisions are compared by a share of fp32's value, told in percent, and not by a difference in points.
bool is_relative(const amp::Measure& measure);
const char* unit_of_difference(bool is_relative);  // " points" or " %"

// "test accuracy", "perplexity", "bits/byte": the head of a column.
std::string column_name(const amp::Measure& measure);

}  // namespace ampersand
