// Opens checkpoints, and notices every change.
#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "src/checkpoint/container.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/step_folders.h"
#include "src/files/hash.h"
#include "src/files/input_file.h"
#include "src/files/strict_json.h"

namespace amp::checkpoint {
namespace {

using files::Hash;
using files::InputFile;
using files::shown;

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxManifest = std::uint64_t{1} << 26;  // bytes; read before it is hashed
constexpr std::size_t kBlock = std::size_t{1} << 20;            // bytes

Manifest read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  const InputFile file(path);
  if (file.size() > kMaxManifest) {
    throw IoError(path, "a manifest must be at most 64 MiB, got " + std::to_string(file.size()) +
                            " bytes; use another checkpoint");
  }
  std::string text(file.size(), '\0');
  file.read(0, text.data(), text.size());
  return decode_manifest(text, path);
}

// What file managers, network file systems and editors leave in a folder. No part has such a name.
bool is_harmless(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kEndings = {
      "~", ".bak", ".orig", ".rej", ".swp", ".swo", ".tmp", ".old", "#"};
  static constexpr std::array<std::string_view, 5> kNames = {"Thumbs.db", "desktop.ini", "Icon\r",
                                                             "@eaDir", "__MACOSX"};
  return name.starts_with('.') || std::ranges::find(kNames, name) != kNames.end() ||
         std::ranges::any_of(kEndings, [&](auto ending) { return name.ends_with(ending); });
}

// Refuses what the manifest does not name, harmless strangers aside; links too, for their target is
// not the checkpoint's.
void check_names(const fs::path& folder, const Manifest& manifest) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name != kManifestName && !manifest.parts.contains(name)) {
      if (is_harmless(name)) continue;
      throw IoError(folder, "holds " + shown(name) +
                                ", which is no part of the checkpoint; move it elsewhere");
    }
    std::error_code ignored;
    if (!fs::is_regular_file(entry->symlink_status(ignored))) {
      throw IoError(entry->path(), "not a regular file; use another checkpoint");
    }
  }
  if (error) throw IoError(folder, "cannot be read: " + error.message());
}

void check_part(const fs::path& path, const PartRecord& record) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw IoError(path, error ? "cannot be read: " + error.message()
                              : "this part of the checkpoint is missing; use another checkpoint");
  }
  const InputFile file(path);
  if (file.size() != record.bytes) {
    throw IoError(path, "must have " + std::to_string(record.bytes) + " bytes, got " +
                            std::to_string(file.size()) + "; use another checkpoint");
  }
  std::string block(static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, file.size())), '\0');
  Hash hash;
  for (std::uint64_t offset = 0; offset < file.size(); offset += kBlock) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, file.size() - offset));
    file.read(offset, block.data(), count);
    hash.add(block.data(), count);
  }
  if (hash.hex() != record.hash) {
    throw IoError(path,
                  "does not match its hash in the manifest, so it is damaged; use another "
                  "checkpoint");
  }
}

}  // namespace

StoredCheckpoint::StoredCheckpoint(fs::path path, std::int64_t step, nlohmann::json about,
                                   std::vector<std::string> parts)
    : path_(std::move(path)), step_(step), about_(std::move(about)), parts_(std::move(parts)) {}

fs::path StoredCheckpoint::part_path(const std::string& name) const {
  if (std::ranges::find(parts_, name) == parts_.end()) {
    throw IoError(path_, "has no part " + shown(name) + "; use a checkpoint that has it");
  }
  return path_ / name;
}

StoredCheckpoint open_checkpoint(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (error && error != std::errc::no_such_file_or_directory)
      throw IoError(path,
                    "cannot be read: " + error.message() + "; give the folder of a checkpoint");
    throw IoError(path, "no such checkpoint; give the folder of one");
  }
  if (!fs::exists(path / kManifestName, error)) {
    if (error) throw IoError(path / kManifestName, "cannot be read: " + error.message());
    throw IoError(path, "holds no manifest.json, so it is no whole checkpoint; use another one");
  }
  Manifest manifest = read_manifest(path);
  check_names(path, manifest);
  std::vector<std::string> names;
  for (const auto& [name, record] : manifest.parts) {
    check_part(path / name, record);
    names.push_back(name);
  }
  return {path, manifest.step, std::move(manifest.about), std::move(names)};
}

NewestCheckpoint newest_checkpoint(const fs::path& parent) {
  NewestCheckpoint found;
  for (const StepFolder& folder : step_folders(parent)) {
    try {
      auto checkpoint = open_checkpoint(folder.path);
      if (checkpoint.step() != folder.step) {
        throw IoError(folder.path, "holds step " + std::to_string(checkpoint.step()) +
                                       ", not that of its name; rename it");
      }
      found.checkpoint = std::move(checkpoint);
      break;
    } catch (const IoError& damage) {
      found.passed_over.push_back({folder.path, damage.what()});
    }
  }
  return found;
}

}  // namespace amp::checkpoint
