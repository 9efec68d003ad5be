// metrics.jsonl.
#include "app/results/metrics_file.h"

#include <nlohmann/json.hpp>
#include <string>

#include "amp/error.h"
#include "app/files/write_file.h"

namespace ampersand {
namespace {

std::string line_of(const nlohmann::json& event) {
  return event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path)
    : path_(path), stream_(path, std::ios::trunc) {
  if (!stream_) throw amp::IoError(path, "cannot be written; choose another --output");
}

MetricsFile::MetricsFile(const std::filesystem::path& path,
                         const std::vector<nlohmann::json>& events)
    : path_(path) {
  std::string lines;
  for (const auto& event : events) lines += line_of(event) + "\n";
  write_file(path, lines);
  stream_.open(path, std::ios::app);
  if (!stream_) throw amp::IoError(path, "cannot be written");
}

void MetricsFile::write(const nlohmann::json& event) {
  // Flushed a line at a time: whatever ends the process, the lines before it are on file.
  stream_ << line_of(event) << std::endl;
  if (!stream_) throw amp::IoError(path_, "writing failed; is the disk full?");
}

std::vector<nlohmann::json> read_metrics(const std::filesystem::path& path) {
  std::ifstream stream(path);
  if (!stream)
    throw amp::IoError(path, "cannot be read; give a folder that train or compare wrote");
  std::vector<nlohmann::json> events;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_discarded() && event.is_object()) {
      events.push_back(std::move(event));
    } else if (stream.peek() != std::ifstream::traits_type::eof()) {
      throw amp::IoError(path, "line " + std::to_string(number) + " is not a JSON object");
    }
  }
  return events;
}

}  // namespace ampersand
