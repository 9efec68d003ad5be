// Names of checkpoints, and how they change hands.
#include "src/checkpoint/step_folders.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <tuple>

#include "amp/error.h"
#include "src/checkpoint/manifest.h"
#include "src/files/input_file.h"
#include "src/files/output_file.h"
#include "src/files/temporary_name.h"

namespace amp::checkpoint {
namespace {

using files::InputFile;
using files::move_into_place;
using files::sync_folder;
using files::temporary_name;

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 9;

std::optional<std::int64_t> step_of(std::string_view name) {
  if (name.ends_with(kReplaced)) name.remove_suffix(std::string_view(kReplaced).size());
  if (!name.starts_with("step-")) return {};
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (error != std::errc() || step < 0 || step_name(step) != name) return {};
  return step;
}

// The files that a checkpoint consists of; none for a folder that has no manifest of a checkpoint.
std::vector<fs::path> files_of(const fs::path& checkpoint) {
  try {
    const InputFile file(checkpoint / kManifestName);
    std::string text(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, text.data(), text.size());
    std::vector<fs::path> files = {file.path()};  // first: without it the rest is no checkpoint
    for (const auto& [name, record] : decode_manifest(text, file.path()).parts)
      files.push_back(checkpoint / name);
    return files;
  } catch (const IoError&) {
    return {};
  }
}

// Removes a folder's files that are the checkpoint's, and the folder if nothing else is in it.
// Returns whether it is gone.
bool removed(const fs::path& checkpoint) {
  std::error_code ignored;
  for (const auto& file : files_of(checkpoint)) fs::remove(file, ignored);
  return fs::remove(checkpoint, ignored);
}

// Gives a folder with files that are no checkpoint's a name where it is in nobody's way.
void set_aside(const fs::path& folder, const fs::path& target) {
  std::error_code error;
  for (int number = 1; number < 1000; ++number) {
    const fs::path aside =
        target.string() + ".aside" + (number == 1 ? "" : "-" + std::to_string(number));
    if (fs::exists(fs::symlink_status(aside, error))) continue;
    fs::rename(folder, aside, error);
    return;
  }
}

// Both names at once, where the file system can.
bool exchanged(const fs::path& one, const fs::path& other) {
  return ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0;
}

}  // namespace

std::string step_name(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return "step-" + std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

std::vector<StepFolder> step_folders(const fs::path& parent) {
  std::vector<StepFolder> found;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto step = step_of(entry->path().filename().string());
    if (step) found.push_back({entry->path(), *step});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw IoError(parent, "cannot be read: " + error.message() + "; give a folder of checkpoints");
  }
  std::ranges::sort(found, [](const StepFolder& one, const StepFolder& other) {
    return std::tuple(-one.step, one.path) < std::tuple(-other.step, other.path);
  });
  return found;
}

void replace_folder(const fs::path& whole, const fs::path& target, bool exchange) {
  const fs::path aside = target.string() + kReplaced;
  if (exchange && exchanged(whole, target)) {
    sync_folder(target.parent_path());
    if (!removed(whole)) set_aside(whole, target);  // now the old one
  } else if (std::error_code error; !fs::exists(fs::symlink_status(target, error))) {
    move_into_place(whole, target);
  } else {
    if (fs::exists(fs::symlink_status(aside, error)) && !removed(aside))
      set_aside(aside, target);  // `target` is newer
    move_into_place(target, aside);
    sync_folder(target.parent_path());
    move_into_place(whole, target);
  }
  sync_folder(target.parent_path());
  if (std::error_code error; fs::exists(fs::symlink_status(aside, error))) {
    if (!removed(aside)) set_aside(aside, target);
  }
}

void discard(const fs::path& checkpoint) {
  const auto own = files_of(checkpoint);
  std::error_code ignored;
  std::size_t entries = 0;
  for (fs::directory_iterator entry(checkpoint, ignored), end; !ignored && entry != end;
       entry.increment(ignored))
    ++entries;
  if (own.empty()) return;  // somebody else's, or beyond recognition
  if (entries > own.size()) {
    removed(checkpoint);
    return;
  }
  const fs::path hidden =
      checkpoint.parent_path() / temporary_name(checkpoint.filename().string() + ".old");
  fs::rename(checkpoint, hidden, ignored);
  removed(ignored ? checkpoint : hidden);
}

}  // namespace amp::checkpoint
