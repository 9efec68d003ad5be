// Where a command writes.
#include "app/commands/output_folder.h"

#include <ctime>
#include <system_error>

#include "amp/error.h"
#include "app/files/own_files.h"

namespace ampersand {

namespace fs = std::filesystem;

std::string time_now(const char* format) {
  const std::time_t now = std::time(nullptr);
  char text[64];
  std::strftime(text, sizeof text, format, std::gmtime(&now));
  return text;
}

std::string timestamp() { return time_now("%Y-%m-%dT%H:%M:%SZ"); }

namespace {

// What each command may write, or remove because it would contradict what it writes.
std::vector<std::string> names_of(const std::string& kind) {
  if (kind == "doctor") return {"doctor.json", "doctor.html", "recipe.json", "policy.json"};
  if (kind == "advise") return {"advise.json", "advise.html", "policy.json"};
  return {"metrics.jsonl", "results.json", "report.html", "recipe.json", "vocabulary.json"};
}

std::vector<std::string> inspection_pages(const fs::path& folder) {
  std::vector<std::string> names = {"inspect.json"};
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (name.starts_with("inspect-") && name.ends_with(".html")) names.push_back(name);
  }
  return names;
}

[[noreturn]] void refuse_foreign(const fs::path& path) {
  throw amp::InvalidArgument("--output: " + path.string() +
                             " is not as this program wrote it, and would be replaced; move it "
                             "away, or choose another --output");
}

// Nothing is lost unasked, and nothing at all that is not the program's own.
void check_free(const std::string& kind, const fs::path& folder, bool overwrite,
                std::vector<std::string> names) {
  std::error_code error;
  bool has_results = false;
  for (const auto& name : names) {
    if (!fs::exists(fs::symlink_status(folder / name, error))) continue;
    if (!is_own_file(folder, name)) refuse_foreign(folder / name);
    has_results = true;
  }
  if (kind == "train" || kind == "compare") {
    const auto checkpoints = folder / "checkpoints";
    if (fs::exists(fs::symlink_status(checkpoints, error)) && !fs::is_directory(checkpoints, error))
      refuse_foreign(checkpoints);
    if (const auto foreign = foreign_checkpoint(checkpoints)) refuse_foreign(*foreign);
    has_results = has_results || holds_checkpoints(checkpoints);
  }
  if (has_results && !overwrite)
    throw amp::InvalidArgument("--output " + folder.string() +
                               " already has results; pass --overwrite to replace them");
}

// runs/KIND-DATE, or with a number behind it: another run may have begun in the same second.
fs::path new_folder(const std::string& kind) {
  const auto name = kind + "-" + time_now("%Y%m%d-%H%M%S");
  std::error_code error;
  fs::create_directories("runs", error);
  for (int number = 1;; ++number) {
    const auto folder =
        fs::path("runs") / (number == 1 ? name : name + "-" + std::to_string(number));
    if (!error && fs::create_directory(folder, error)) return folder;
    if (error)
      throw amp::IoError(folder,
                         "cannot be made (" + error.message() + "); choose another --output");
  }
}

}  // namespace

fs::path output_folder(const std::string& kind, const Settings& settings,
                       const std::vector<std::string>& results) {
  if (settings.output == "-")
    throw amp::InvalidArgument(
        "--output must be a folder, for several files are written, got '-'; give a name (./- for "
        "a folder of that name)");
  if (settings.output.empty()) {
    const auto folder = new_folder(kind);
    keep_own_files(folder);
    return folder;
  }
  const auto& folder = settings.output;
  auto names = names_of(kind);
  names.insert(names.end(), results.begin(), results.end());
  if (kind == "compare")
    for (const auto& name : inspection_pages(folder)) names.push_back(name);
  check_free(kind, folder, settings.overwrite, names);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw amp::IoError(folder, "cannot be made (" + error.message() + "); choose another --output");
  keep_own_files(folder);
  return folder;
}

}  // namespace ampersand
