// The checkpoint container.
#include "src/checkpoint/container.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <system_error>

#include "amp/error.h"
#include "src/checkpoint/hash.h"
#include "src/checkpoint/input_file.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/temporary_name.h"

namespace amp::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "step-";

std::string folder_name(std::int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "%s%09lld", kPrefix, static_cast<long long>(step));
  return name;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError(path, "cannot be made (" + error.message() + ")");
}

PartRecord write_part(const fs::path& path, const fs::path& reported, const Part& part) {
  OutputFile file(path, reported);
  Hash hash;
  PartRecord record;
  part.write([&](const void* bytes, std::size_t count) {
    hash.add(bytes, count);
    record.bytes += count;
    file.write(bytes, count);
  });
  file.finish();
  record.hash = hash.hex();
  return record;
}

// Fills the temporary folder, the manifest last.
void write_parts(const fs::path& folder, const fs::path& reported, std::span<const Part> parts,
                 Manifest manifest) {
  for (const auto& part : parts) {
    if (part.name.empty() || part.name.find('/') != std::string::npos || part.name == kManifest ||
        manifest.parts.contains(part.name))
      throw InvalidArgument("checkpoint: part name '" + part.name + "' cannot be used");
    manifest.parts[part.name] = write_part(folder / part.name, reported / part.name, part);
  }
  OutputFile file(folder / kManifest, reported / kManifest);
  const auto text = written(manifest);
  file.write(text.data(), text.size());
  file.finish();
  sync_folder(folder);
}

// The steps whose folders are there, whole or not, newest first.
std::vector<std::pair<std::int64_t, fs::path>> folders_of(const fs::path& parent) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    long long step = 0;
    char rest = 0;
    if (name.starts_with(kPrefix) && std::sscanf(name.c_str(), "step-%lld%c", &step, &rest) == 1)
      found.emplace_back(step, entry->path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

// What was just written counts without being read again; damaged ones are not counted, and go with
// the first that is too many.
void prune(const fs::path& parent, const fs::path& fresh, int keep) {
  int whole = 0;
  for (const auto& [step, path] : folders_of(parent)) {
    if (whole >= keep) {
      std::error_code ignored;
      // Its manifest first: what is left of a removal that is cut short is no checkpoint.
      fs::remove(path / kManifest, ignored);
      fs::remove_all(path, ignored);
      continue;
    }
    if (path == fresh) {
      ++whole;
      continue;
    }
    try {
      open_checkpoint(path);
      ++whole;
    } catch (const IoError&) {
    }
  }
}

// A folder with something in it cannot be replaced by a rename: the two change places in one call,
// so that there is never a moment without either. The old one is then the temporary one.
void put_in_place(const fs::path& temporary, const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error) &&
      ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0)
    return;
  move_into_place(temporary, path);
}

}  // namespace

fs::path write_checkpoint(const fs::path& parent, std::int64_t step, std::span<const Part> parts,
                          const nlohmann::json& about, int keep) {
  make_folder(parent);
  remove_leftovers(parent, kPrefix);
  const auto path = parent / folder_name(step);
  const TemporaryPath temporary(parent / temporary_name(folder_name(step)));
  make_folder(temporary.path());
  write_parts(temporary.path(), path, parts, {step, about, {}});
  put_in_place(temporary.path(), path);
  sync_folder(parent);
  prune(parent, path, std::max(1, keep));
  return path;
}

fs::path StoredCheckpoint::part(const std::string& name) const {
  if (!has(name)) throw IoError(path_, "has no part '" + name + "'");
  return path_ / name;
}

StoredCheckpoint open_checkpoint(const fs::path& path) {
  const auto manifest = read_manifest(path);
  std::set<std::string> names;
  for (const auto& [name, part] : manifest.parts) {
    const InputFile file(path / name);
    if (file.size() != part.bytes)
      throw IoError(path / name, "has " + std::to_string(file.size()) + " bytes, not the " +
                                     std::to_string(part.bytes) +
                                     " of its checkpoint; use an earlier checkpoint");
    Hash hash;
    std::vector<char> buffer(std::size_t{1} << 20);
    for (std::uint64_t at = 0; at < part.bytes; at += buffer.size()) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), part.bytes - at));
      file.read(at, buffer.data(), count);
      hash.add(buffer.data(), count);
    }
    if (hash.hex() != part.hash)
      throw IoError(path / name,
                    "is damaged (its hash is not the checkpoint's); use an earlier "
                    "checkpoint");
    names.insert(name);
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    const auto name = entry.path().filename().string();
    if (name != kManifest && !names.contains(name))
      throw IoError(entry.path(), "does not belong to its checkpoint; remove it");
  }
  return {path, manifest.step, manifest.about, std::move(names)};
}

Newest newest_checkpoint(const fs::path& parent) {
  Newest newest;
  for (const auto& [step, path] : folders_of(parent)) {
    try {
      newest.checkpoint = open_checkpoint(path);
      return newest;
    } catch (const IoError& error) {
      newest.damaged.emplace_back(error.what());
    }
  }
  return newest;
}

}  // namespace amp::checkpoint
