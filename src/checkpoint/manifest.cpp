// The manifest as text.
#include "src/checkpoint/manifest.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "amp/error.h"
#include "src/files/hash.h"
#include "src/files/strict_json.h"

namespace amp::checkpoint {
namespace {

using files::hash_of;
using files::parse_strictly;

constexpr std::string_view kFormat = "ampersand checkpoint";
constexpr std::int64_t kVersion = 1;
constexpr int kManifestDepth = 64;
constexpr std::string_view kHashMark = "xxh3_128:";
constexpr std::size_t kHashDigits = 32;
constexpr std::size_t kHashLine = kHashMark.size() + kHashDigits + 1;  // and the end of the line

std::string hash_line(std::string_view body) {
  return std::string(kHashMark) + hash_of(body) + '\n';
}

bool is_whole_number(const nlohmann::json& value) {
  return value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 == 0;
}

bool is_part(const std::string& name, const nlohmann::json& record) {
  return is_part_name(name) && record.is_object() && record.size() == 2 &&
         record.contains("bytes") && is_whole_number(record["bytes"]) &&
         record.contains("xxh3_128") && record["xxh3_128"].is_string();
}

// An object with these keys and no others, its parts well-formed.
bool is_manifest(const nlohmann::json& value) {
  if (value.size() != 5 || !value.contains("about") || !value.contains("step") ||
      !is_whole_number(value["step"]) || !value.contains("parts") || !value["parts"].is_object()) {
    return false;
  }
  const auto& parts = value["parts"].get_ref<const nlohmann::json::object_t&>();
  return std::ranges::all_of(parts,
                             [](const auto& part) { return is_part(part.first, part.second); });
}

void check_version(const nlohmann::json& value, const std::filesystem::path& path) {
  const bool ours = value.is_object() && value.contains("format") && value["format"] == kFormat &&
                    value.contains("version") && is_whole_number(value["version"]);
  if (!ours) {
    throw IoError(path, "not the manifest of an Ampersand checkpoint; give a checkpoint's folder");
  }
  const auto version = value["version"].get<std::int64_t>();
  if (version > kVersion) {
    throw IoError(path, "was written by a newer Ampersand (format version " +
                            std::to_string(version) + "; this one reads " +
                            std::to_string(kVersion) + "); use that one");
  }
  if (version < kVersion) {
    throw IoError(path, "checkpoint format version must be " + std::to_string(kVersion) + ", got " +
                            std::to_string(version) + "; use another checkpoint");
  }
}

}  // namespace

bool is_part_name(const std::string& name) {
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 200 && name.front() != '.' && name != kManifestName &&
         name.find_first_not_of(allowed) == std::string::npos;
}

std::string encode_manifest(const Manifest& manifest) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::object();
  for (const auto& [name, record] : manifest.parts) {
    parts[name] = {{"bytes", record.bytes}, {"xxh3_128", record.hash}};
  }
  std::string text;
  try {
    text = "{\"format\":" + nlohmann::json(kFormat).dump() +
           ",\"version\":" + std::to_string(kVersion) +
           ",\"step\":" + std::to_string(manifest.step) + ",\"about\":" + manifest.about.dump() +
           ",\"parts\":" + parts.dump() + "}\n";
    text += hash_line(text);
    if (decode_manifest(text, kManifestName).about == manifest.about) return text;
  } catch (const nlohmann::json::exception&) {  // not UTF-8
  } catch (const IoError&) {                    // nested too deep
  }
  throw InvalidArgument(
      "write_checkpoint: about must be what JSON gives back (UTF-8, no NaN, no infinity, at most " +
      std::to_string(kManifestDepth - 1) + " levels); leave such values out");
}

Manifest decode_manifest(std::string_view text, const std::filesystem::path& path) {
  const std::size_t length = text.size() < kHashLine ? 0 : text.size() - kHashLine;
  const std::string_view body = text.substr(0, length);
  if (text.substr(length) != hash_line(body)) {
    throw IoError(path,
                  "does not match the hash in its last line, so it is damaged; use another "
                  "checkpoint");
  }
  auto value = parse_strictly(body, path, "the manifest", kManifestDepth);
  check_version(value, path);
  if (!is_manifest(value)) {
    throw IoError(path, "must have format, version, step, about and parts, each as version " +
                            std::to_string(kVersion) + " has them; use another checkpoint");
  }
  Manifest manifest{
      .step = value["step"].get<std::int64_t>(), .about = std::move(value["about"]), .parts = {}};
  for (const auto& [name, record] : value["parts"].items()) {
    manifest.parts[name] = {record["bytes"].get<std::uint64_t>(),
                            record["xxh3_128"].get<std::string>()};
  }
  return manifest;
}

}  // namespace amp::checkpoint
