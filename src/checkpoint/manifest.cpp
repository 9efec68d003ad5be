// The manifest of a checkpoint.
#include "src/checkpoint/manifest.h"

#include "amp/error.h"
#include "src/checkpoint/hash.h"
#include "src/checkpoint/input_file.h"
#include "src/checkpoint/strict_json.h"

namespace amp::checkpoint {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "ampersand checkpoint";
constexpr std::int64_t kVersion = 1;
constexpr const char* kHashLine = "\nxxh3_128:";
constexpr std::size_t kHexDigits = 32;
constexpr std::uint64_t kLargest = 100'000'000;
constexpr int kDepth = 64;

std::string text_of(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kLargest) throw IoError(path, "is too large for a manifest");
  std::string text(file.size(), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

// The JSON of a manifest whose last line agrees with it.
std::string checked_text(const std::filesystem::path& path) {
  const auto text = text_of(path);
  const auto line = text.rfind(kHashLine);
  const bool complete = line != std::string::npos &&
                        text.size() == line + std::string(kHashLine).size() + kHexDigits + 1 &&
                        text.back() == '\n';
  const auto body = text.substr(0, complete ? line + 1 : 0);
  if (!complete || text.substr(text.size() - kHexDigits - 1, kHexDigits) != hash_of(body))
    throw IoError(path, "is damaged or cut short; use an earlier checkpoint");
  return body;
}

}  // namespace

std::string written(const Manifest& manifest) {
  json parts = json::object();
  for (const auto& [name, part] : manifest.parts)
    parts[name] = {{"bytes", part.bytes}, {"xxh3_128", part.hash}};
  const json object = {{"format", kFormat},
                       {"version", kVersion},
                       {"step", manifest.step},
                       {"about", manifest.about},
                       {"parts", parts}};
  const auto body = object.dump(1) + "\n";
  return body + (kHashLine + 1) + hash_of(body) + "\n";
}

Manifest read_manifest(const std::filesystem::path& folder) {
  const auto path = folder / kManifest;
  const auto object = parse_strictly(checked_text(path), path, "the manifest", kDepth);
  try {
    if (object.at("format") != kFormat) throw IoError(path, "is no checkpoint's manifest");
    if (const auto version = object.at("version").get<std::int64_t>(); version > kVersion) {
      throw IoError(path, "was written by a newer Ampersand (format version " +
                              std::to_string(version) + "; this one reads " +
                              std::to_string(kVersion) + ")");
    }
    Manifest manifest{object.at("step"), object.at("about"), {}};
    for (const auto& [name, part] : object.at("parts").items())
      manifest.parts[name] = {part.at("bytes"), part.at("xxh3_128")};
    return manifest;
  } catch (const json::exception&) {
    throw IoError(path, "lacks a field of a manifest");
  }
}

}  // namespace amp::checkpoint
