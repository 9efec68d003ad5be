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
#include "src/checkpoint/output_file.h"
#include "src/checkpoint/temporary_name.h"

namespace amp::checkpoint {
namespace {

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
    std::error_code ignored;
    fs::remove_all(whole, ignored);  // now the old one
  } else if (std::error_code error; !fs::exists(fs::symlink_status(target, error))) {
    move_into_place(whole, target);
  } else {
    if (fs::exists(fs::symlink_status(aside, error))) discard(aside);  // `target` is newer
    move_into_place(target, aside);
    sync_folder(target.parent_path());
    move_into_place(whole, target);
  }
  sync_folder(target.parent_path());
  if (std::error_code error; fs::exists(fs::symlink_status(aside, error))) discard(aside);
}

void discard(const fs::path& checkpoint) {
  const fs::path hidden =
      checkpoint.parent_path() / temporary_name(checkpoint.filename().string() + ".old");
  std::error_code ignored;
  fs::remove_all(hidden, ignored);
  fs::rename(checkpoint, hidden, ignored);
  fs::remove_all(hidden, ignored);
}

}  // namespace amp::checkpoint
