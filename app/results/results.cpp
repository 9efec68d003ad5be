// results.json out of the events of a training.
#include "app/results/results.h"

#include <string>
#include <utility>

#include "app/results/summary.h"
#include "app/results/verdict.h"

namespace ampersand {

using nlohmann::json;

void ResultsBuilder::add(const json& event) {
  const std::string kind = event.value("event", "");
  if (kind == "start") {
    header_ = event;
    header_.erase("event");
  } else if (kind == "finish") {
    finished_ = true;
    interrupted_ = event.value("interrupted", false);
    if (event.contains("machine"))
      header_["machine"] = event.at("machine");  // now with the choices it made
  } else if (event.contains("run")) {
    // A run that goes on may go on for longer, or with another learning rate.
    if (event.contains("settings")) header_["settings"] = event.at("settings");
    runs_[event.at("run").get<std::int64_t>()].add(event);
  }
}

json ResultsBuilder::results() const {
  auto results = header_;
  results["interrupted"] = interrupted_ || !finished_;
  results["runs"] = json::array();
  SummaryOptions options;
  for (const auto& [number, run] : runs_) {
    auto object = run.as_json();
    auto& list = object.contains("perturbed") ? options.perturbed_runs : results["runs"];
    list.push_back(std::move(object));
  }
  const auto settings = results.value("settings", json::object());
  options.test_samples = settings.value("test_samples", std::int64_t{0});
  if (const auto margin = settings.value("margin", json()); margin.is_number())
    options.margin = margin.get<double>();
  options.measures = measures_of(results);
  results["summary"] = summarize(results["runs"], options);
  results["verdict"] = verdict(results["summary"], results["runs"], options.measures.front());
  if (auto sentence = takeaway(results["summary"]); !sentence.is_null())
    results["takeaway"] = std::move(sentence);
  if (!options.perturbed_runs.empty())
    results["perturbed_runs"] = std::move(options.perturbed_runs);
  return results;
}

}  // namespace ampersand
