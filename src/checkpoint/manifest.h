// The manifest of a checkpoint: which parts it has and what they hash to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace amp::checkpoint {

constexpr const char* kManifest = "manifest.json";

struct PartRecord {
  std::uint64_t bytes = 0;
  std::string hash;
};

struct Manifest {
  std::int64_t step = 0;
  nlohmann::json about;
  std::map<std::string, PartRecord> parts;
};

// JSON, and as its last line the hash of all that stands before that line.
std::string written(const Manifest& manifest);

// Reads and checks the manifest of a checkpoint's folder. Throws amp::IoError.
Manifest read_manifest(const std::filesystem::path& folder);

}  // namespace amp::checkpoint
