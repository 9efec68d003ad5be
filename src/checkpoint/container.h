// The checkpoint container: a folder `step-000000123/` with part files and a manifest that hashes
// each. Free of LibTorch; what the parts hold is their writer's.
//
//   manifest.json   {"format": "ampersand checkpoint", "version": 1, "step": 123, "about": {...},
//                    "parts": {"model.safetensors": {"bytes": N, "xxh3_128": "32 digits"}, ...}}
//                   and as its last line "xxh3_128:" and the hash of all bytes before that line
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/files/output_file.h"

namespace amp::checkpoint {

// One file of a checkpoint: `write` hands its bytes to the sink, in pieces of any size.
struct Part {
  std::string name;  // letters, digits and ._- but no . in front; not manifest.json
  std::function<void(const files::Sink&)> write;
};

// Writes `parent`/step-NNNNNNNNN so that, whatever ends the process or the power, a whole
// checkpoint stays on the disk: into a temporary folder beside it, fsync of each file, the hashed
// manifest and the folder, rename, fsync of `parent`. A checkpoint of that step is replaced.
//
// Then keeps the new one and the newest `keep` - 1 whole others, which it reads to know, and
// removes what is older, damaged ones too. One that cannot be removed stays until the next time.
// Folders that dead writers left behind are removed. One writer per `parent` at a time.
//
// Waits for the disk. Throws amp::IoError when something cannot be written (a full disk): its
// temporary folder is then removed and earlier checkpoints are untouched; amp::InvalidArgument for
// a step below 0, a `keep` below 1, a part name that is not allowed or comes twice, and an `about`
// that JSON does not give back (NaN, infinity, text that is not UTF-8); and what `write` throws.
// Returns the checkpoint's folder.
std::filesystem::path write_checkpoint(const std::filesystem::path& parent, std::int64_t step,
                                       std::span<const Part> parts, const nlohmann::json& about,
                                       int keep = 2);

// A checkpoint whose every byte has been verified.
class StoredCheckpoint {
 public:
  StoredCheckpoint(std::filesystem::path path, std::int64_t step, nlohmann::json about,
                   std::vector<std::string> parts);

  const std::filesystem::path& path() const { return path_; }
  std::int64_t step() const { return step_; }
  const nlohmann::json& about() const { return about_; }
  const std::vector<std::string>& parts() const { return parts_; }  // names, sorted

  // The file of a part. Throws amp::IoError for a part the checkpoint does not have.
  std::filesystem::path part_path(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::int64_t step_;
  nlohmann::json about_;
  std::vector<std::string> parts_;
};

// Reads the whole checkpoint in the folder `path`, whatever its name. Throws amp::IoError for the
// first thing that is not as it was written: the manifest, its version, a file missing, added,
// longer, shorter or changed.
StoredCheckpoint open_checkpoint(const std::filesystem::path& path);

struct DamagedCheckpoint {
  std::filesystem::path path;
  std::string reason;  // the message of the error, which begins with a path
};

struct NewestCheckpoint {
  std::optional<StoredCheckpoint> checkpoint;  // none if `parent` holds no whole one
  std::vector<DamagedCheckpoint> passed_over;  // newer, but damaged; newest first
};

// The whole checkpoint with the highest step in `parent`. Temporary folders are not looked at; a
// folder that does not exist holds none. Throws amp::IoError for a `parent` that cannot be read.
NewestCheckpoint newest_checkpoint(const std::filesystem::path& parent);

}  // namespace amp::checkpoint
