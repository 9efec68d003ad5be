// metrics.jsonl.
#include "app/results/metrics_file.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "amp/error.h"
#include "app/files/own_files.h"
#include "app/files/write_file.h"

namespace ampersand {
namespace {

std::string line_of(const nlohmann::json& event) {
  return event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The system's, of what a stream has just failed to do.
std::string reason() {
  return errno == 0 ? "" : " (" + std::generic_category().message(errno) + ")";
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path) : path_(path) {
  check_replaceable(path);
  note_own_file(path);
  errno = 0;
  stream_.open(path, std::ios::trunc);
  if (!stream_)
    throw amp::IoError(path, "cannot be written" + reason() + "; choose another --output");
}

MetricsFile::MetricsFile(const std::filesystem::path& path,
                         const std::vector<nlohmann::json>& events)
    : path_(path) {
  std::string lines;
  for (const auto& event : events) lines += line_of(event) + "\n";
  write_file(path, lines);
  note_own_file(path);
  errno = 0;
  stream_.open(path, std::ios::app);
  if (!stream_) throw amp::IoError(path, "cannot be written" + reason());
}

void MetricsFile::write(const nlohmann::json& event) {
  // Flushed a line at a time: whatever ends the process, the lines before it are on file.
  errno = 0;
  stream_ << line_of(event) << std::endl;
  if (!stream_) throw amp::IoError(path_, "cannot be written" + reason());
}

std::vector<nlohmann::json> read_metrics(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream stream(path);
  if (!stream)
    throw amp::IoError(path,
                       "cannot be read" + reason() + "; give a folder that train or compare wrote");
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
