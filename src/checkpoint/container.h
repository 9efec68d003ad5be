// The checkpoint container: a folder of parts and a manifest that has the hash of each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "src/checkpoint/output_file.h"

namespace amp::checkpoint {

struct Part {
  std::string name;  // of its file
  std::function<void(const Sink&)> write;
};

// Writes parent/step-000000123 so that it is there whole or not at all, through a power loss too:
// a temporary folder, each file written and synced, the manifest with the hashes, the folder
// synced, renamed, its parent synced. One that is there already is replaced. Then all but the
// newest `keep` whole ones are removed, and what dead processes left behind. One writer per parent
// at a time.
//
// Throws amp::IoError, naming the disk that is full; then nothing that was there has changed.
std::filesystem::path write_checkpoint(const std::filesystem::path& parent, std::int64_t step,
                                       std::span<const Part> parts, const nlohmann::json& about,
                                       int keep);

// A checkpoint of which every byte was read and found to be what the manifest says.
class StoredCheckpoint {
 public:
  StoredCheckpoint(std::filesystem::path path, std::int64_t step, nlohmann::json about,
                   std::set<std::string> parts)
      : path_(std::move(path)), step_(step), about_(std::move(about)), parts_(std::move(parts)) {}

  const std::filesystem::path& path() const { return path_; }
  std::int64_t step() const { return step_; }
  const nlohmann::json& about() const { return about_; }
  bool has(const std::string& part) const { return parts_.contains(part); }
  // Throws amp::IoError for a part it does not have.
  std::filesystem::path part(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::int64_t step_;
  nlohmann::json about_;
  std::set<std::string> parts_;
};

// Throws amp::IoError for a flipped bit, a missing, extra, longer or shorter file, or a newer
// format.
StoredCheckpoint open_checkpoint(const std::filesystem::path& path);

struct Newest {
  std::optional<StoredCheckpoint> checkpoint;
  std::vector<std::string> damaged;  // newer ones, a line each
};
Newest newest_checkpoint(const std::filesystem::path& parent);

}  // namespace amp::checkpoint
