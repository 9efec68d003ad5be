// results.json out of the events of a training: runs, their histories, and what they say together.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>

#include "app/results/run_record.h"

namespace ampersand {

// Takes events in the order they happened, from a live training or from metrics.jsonl, and gives
// the results so far. The fields are documented in docs/results.md.
class ResultsBuilder {
 public:
  void add(const nlohmann::json& event);
  nlohmann::json results() const;

 private:
  nlohmann::json header_ = nlohmann::json::object();
  bool finished_ = false;
  bool interrupted_ = false;
  std::map<std::int64_t, RunRecord> runs_;
};

}  // namespace ampersand
