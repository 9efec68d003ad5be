// results.json out of the events of a training.
#include "app/results/results.h"

#include <string>

#include "app/results/summary.h"

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
  for (const auto& [number, run] : runs_) results["runs"].push_back(run.as_json());
  const auto settings = results.value("settings", json::object());
  results["summary"] = summarize(results["runs"], settings.value("test_samples", std::int64_t{0}));
  results["verdict"] = verdict(results["summary"], results["runs"]);
  return results;
}

}  // namespace ampersand
