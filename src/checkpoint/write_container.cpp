// Writes checkpoints, and removes the old ones.
#include <set>
#include <system_error>

#include "amp/error.h"
#include "src/checkpoint/container.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/step_folders.h"
#include "src/files/hash.h"
#include "src/files/strict_json.h"
#include "src/files/temporary_name.h"

namespace amp::checkpoint {
namespace {

using files::Hash;
using files::OutputFile;
using files::remove_leftovers;
using files::shown;
using files::sync_folder;
using files::temporary_name;
using files::TemporaryPath;

namespace fs = std::filesystem;

void check(std::int64_t step, std::span<const Part> parts, int keep) {
  const auto refuse = [](const std::string& message) {
    throw InvalidArgument("write_checkpoint: " + message);
  };
  if (step < 0) refuse("step must be >= 0, got " + std::to_string(step));
  if (keep < 1) refuse("keep must be >= 1, got " + std::to_string(keep));
  std::set<std::string> names;
  for (const Part& part : parts) {
    if (!is_part_name(part.name)) {
      refuse(
          "a part's name must be letters, digits and ._- without . in front, and not "
          "manifest.json, got " +
          shown(part.name));
    }
    if (!names.insert(part.name).second) {
      refuse("each part's name must come once, got " + shown(part.name) + " twice");
    }
    if (!part.write) refuse("part " + shown(part.name) + " has no write function");
  }
}

void make_parent(const fs::path& parent) {
  std::error_code error;
  const bool is_new = fs::create_directories(parent, error);
  if (error) {
    throw IoError(parent, "cannot be created: " + error.message() + "; choose another folder");
  }
  if (is_new) sync_folder(fs::absolute(parent).lexically_normal().parent_path());
}

void make_folder(const fs::path& folder, const fs::path& reported) {
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directory(folder, error);
  if (error) {
    throw IoError(reported, "cannot be created: " + error.message() +
                                "; free some space there, or choose another folder");
  }
}

PartRecord write_part(const Part& part, const fs::path& folder, const fs::path& reported) {
  OutputFile file(folder / part.name, reported / part.name);
  PartRecord record;
  Hash hash;
  part.write([&](const void* bytes, std::size_t count) {
    hash.add(bytes, count);
    file.write(bytes, count);
    record.bytes += count;
  });
  file.finish();
  record.hash = hash.hex();
  return record;
}

void write_manifest(const Manifest& manifest, const fs::path& folder, const fs::path& reported) {
  const std::string text = encode_manifest(manifest);
  OutputFile file(folder / kManifestName, reported / kManifestName);
  file.write(text.data(), text.size());
  file.finish();
}

bool is_whole(const fs::path& checkpoint) {
  try {
    open_checkpoint(checkpoint);
    return true;
  } catch (const IoError&) {
    return false;
  }
}

// Keeps `written` and the newest `keep` - 1 whole others; damaged ones that are newer than the last
// of those stay for their owner to look at.
void prune(const fs::path& parent, const fs::path& written, int keep) {
  int whole = 1;
  for (const StepFolder& folder : step_folders(parent)) {
    if (folder.path.filename() == written.filename()) continue;
    if (whole >= keep) {
      discard(folder.path);
    } else if (is_whole(folder.path)) {
      ++whole;
    }
  }
}

}  // namespace

fs::path write_checkpoint(const fs::path& parent, std::int64_t step, std::span<const Part> parts,
                          const nlohmann::json& about, int keep) {
  check(step, parts, keep);
  make_parent(parent);
  remove_leftovers(parent, "step-");  // first, for they take up space
  const fs::path target = parent / step_name(step);
  const TemporaryPath temporary(parent / temporary_name(step_name(step)));
  make_folder(temporary.path(), target);
  Manifest manifest{.step = step, .about = about, .parts = {}};
  for (const Part& part : parts) {
    manifest.parts[part.name] = write_part(part, temporary.path(), target);
  }
  write_manifest(manifest, temporary.path(), target);
  sync_folder(temporary.path());
  replace_folder(temporary.path(), target);
  prune(parent, target, keep);
  return target;
}

}  // namespace amp::checkpoint
