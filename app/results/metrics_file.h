// metrics.jsonl: one JSON object a line, written as training goes. The source of truth;
// results.json is made of it.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace ampersand {

class MetricsFile {
 public:
  // Creates or empties the file. Throws amp::IoError if it cannot be written, here and later.
  explicit MetricsFile(const std::filesystem::path& path);
  // Replaces the file by one with these events, whole or not at all, and goes on after them.
  MetricsFile(const std::filesystem::path& path, const std::vector<nlohmann::json>& events);
  void write(const nlohmann::json& event);

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

// The events of a file. A last line cut short, as a killed process leaves one, is dropped; any
// other line that is not JSON throws amp::IoError with its number.
std::vector<nlohmann::json> read_metrics(const std::filesystem::path& path);

}  // namespace ampersand
