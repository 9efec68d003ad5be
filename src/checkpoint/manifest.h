// manifest.json: what a checkpoint consists of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace amp::checkpoint {

inline constexpr const char* kManifestName = "manifest.json";

struct PartRecord {
  std::uint64_t bytes = 0;
  std::string hash;  // as Hash::hex() gives it
};

struct Manifest {
  std::int64_t step = 0;
  nlohmann::json about;
  std::map<std::string, PartRecord> parts;  // by name
};

// Whether a part may have this name: it is a plain file name everywhere, and hidden nowhere.
bool is_part_name(const std::string& name);

// The file's text, its hash line included. Throws amp::InvalidArgument if decode_manifest would not
// give the same `about` back.
std::string encode_manifest(const Manifest& manifest);

// The manifest in `text`, which is the file `path`. Throws amp::IoError for a wrong hash, another
// format or version, and anything that encode_manifest does not write.
Manifest decode_manifest(std::string_view text, const std::filesystem::path& path);

}  // namespace amp::checkpoint
