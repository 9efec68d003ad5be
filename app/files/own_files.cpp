// Which files this program wrote.
#include "app/files/own_files.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "src/files/hash.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kList = ".ampersand-files";
constexpr std::size_t kHashDigits = 32;
const std::string kGrows(kHashDigits, '-');

fs::path own_folder;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string first_line_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string line;
  std::getline(stream, line);
  return line;
}

bool is_plain_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(path, ignored));
}

bool has_entry(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_metrics(const fs::path& path) {
  if (!is_plain_file(path)) return false;
  const auto event = json::parse(first_line_of(path), nullptr, false);
  return event.is_object() && event.value("event", json()) == "start" && event.contains("version");
}

// A line may hold any name but one with a line's end.
std::string escaped(std::string name) {
  std::string text;
  for (const char c : name) text += c == '\n' ? std::string("%0A") : std::string(1, c);
  return text;
}

// Pairs of hash and name.
std::vector<std::pair<std::string, std::string>> list_of(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> entries;
  if (!is_plain_file(folder / kList)) return entries;
  std::ifstream stream(folder / kList, std::ios::binary);
  for (std::string line; std::getline(stream, line);) {
    if (line.size() > kHashDigits + 1)
      entries.emplace_back(line.substr(0, kHashDigits), line.substr(kHashDigits + 1));
  }
  return entries;
}

bool names_a_result(const std::string& name) {
  static const std::vector<std::string> kNames = {
      "metrics.jsonl",   "results.json", "report.html", "recipe.json",
      "vocabulary.json", "inspect.json", "doctor.json", "doctor.html",
      "advise.json",     "advise.html",  "policy.json"};
  return std::ranges::find(kNames, name) != kNames.end() ||
         (name.starts_with("inspect-") && name.ends_with(".html"));
}

// The files of a checkpoint, its manifest first; none for a folder that is no checkpoint.
std::vector<fs::path> files_of_checkpoint(const fs::path& folder) {
  const auto manifest = folder / "manifest.json";
  if (!is_plain_file(manifest)) return {};
  auto text = bytes_of(manifest);
  text.resize(std::min(text.size(), text.rfind("xxh3_128:")));  // the last line
  const auto object = json::parse(text, nullptr, false);
  if (!object.is_object() || object.value("format", json()) != "ampersand checkpoint" ||
      !object.contains("parts") || !object.at("parts").is_object())
    return {};
  std::vector<fs::path> files = {manifest};
  for (const auto& [name, part] : object.at("parts").items()) {
    if (name.find('/') == std::string::npos) files.push_back(folder / name);
  }
  return files;
}

// What file managers, network file systems and editors leave behind.
bool is_harmless(const std::string& name) {
  static const std::vector<std::string> kEndings = {"~",    ".bak", ".orig", ".rej", ".swp",
                                                    ".swo", ".tmp", ".old",  "#"};
  static const std::vector<std::string> kNames = {"Thumbs.db", "desktop.ini", "Icon\r", "@eaDir",
                                                  "__MACOSX"};
  return name.starts_with('.') || std::ranges::find(kNames, name) != kNames.end() ||
         std::ranges::any_of(kEndings, [&](const auto& end) { return name.ends_with(end); });
}

bool holds_harmless_alone(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    if (!is_harmless(entry->path().filename().string())) return false;
  }
  return !error;
}

// What has a checkpoint's name: step-000000123.
std::vector<fs::path> step_folders(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() < 14 || !name.starts_with("step-")) continue;
    if (std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; }))
      found.push_back(entry->path());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

void keep_own_files(const fs::path& folder) {
  const bool earlier_version = !has_entry(folder / kList) && is_metrics(folder / "metrics.jsonl");
  own_folder = folder;
  if (!earlier_version) return;
  std::vector<fs::path> own;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_own_file(folder, entry->path().filename())) own.push_back(entry->path());
  }
  for (const auto& path : own) {
    if (path.filename() == "metrics.jsonl") {
      note_own_file(folder / path.filename());
    } else {
      note_own_file(folder / path.filename(), bytes_of(path));
    }
  }
}

void note_own_file(const fs::path& path, std::optional<std::string_view> text) {
  if (own_folder.empty()) return;
  const auto name = path.lexically_relative(own_folder);
  if (name.empty() || *name.begin() == "..") return;
  const std::pair entry = {text.has_value() ? amp::files::hash_of(*text) : kGrows,
                           escaped(name.string())};
  const auto entries = list_of(own_folder);
  if (std::ranges::find(entries, entry) != entries.end()) return;
  const auto list = own_folder / kList;
  if (has_entry(list) && !is_plain_file(list))
    throw amp::InvalidArgument(list.string() +
                               " is no plain file, and this program keeps a list there; move it "
                               "away, or choose another --output");
  errno = 0;
  std::ofstream stream(list, std::ios::binary | std::ios::app);
  stream << entry.first << ' ' << entry.second << '\n' << std::flush;
  if (!stream)
    throw amp::IoError(list, "cannot be written (" + std::generic_category().message(errno) + ")");
}

bool is_own_file(const fs::path& folder, const fs::path& name) {
  const auto path = folder / name;
  if (!is_plain_file(path)) return false;
  if (!has_entry(folder / kList))
    return is_metrics(folder / "metrics.jsonl") && names_a_result(name.string());
  std::optional<std::string> hash;
  for (const auto& [written, whose] : list_of(folder)) {
    if (whose != escaped(name.string())) continue;
    if (written == kGrows) return name != "metrics.jsonl" || is_metrics(path);
    if (!hash) hash = amp::files::hash_of(bytes_of(path));
    if (written == *hash) return true;
  }
  return false;
}

void check_replaceable(const fs::path& path) {
  if (own_folder.empty()) return;
  const auto name = path.lexically_relative(own_folder);
  if (name.empty() || *name.begin() == ".." || !has_entry(path)) return;
  std::error_code ignored;
  if (is_own_file(own_folder, name) || fs::is_directory(fs::symlink_status(path, ignored)))
    return;  // a folder is never replaced by a file
  throw amp::InvalidArgument(path.string() +
                             " is not as this program wrote it, and would be replaced; move it "
                             "away, or choose another folder");
}

void remove_own_file(const fs::path& folder, const fs::path& name) {
  std::error_code ignored;
  if (is_own_file(folder, name)) fs::remove(folder / name, ignored);
}

void remove_own_folder(const fs::path& folder, const fs::path& below) {
  std::error_code ignored;
  for (const auto& [hash, name] : list_of(folder)) {
    const auto path = folder / name;
    if (*fs::path(name).begin() != below) continue;
    remove_own_file(folder, name);
    for (auto above = path.parent_path(); above != folder; above = above.parent_path())
      fs::remove(above, ignored);  // only if it is empty
  }
}

bool holds_checkpoints(const fs::path& folder) {
  return std::ranges::any_of(step_folders(folder),
                             [](const auto& step) { return !files_of_checkpoint(step).empty(); });
}

std::optional<fs::path> foreign_checkpoint(const fs::path& folder) {
  for (const auto& step : step_folders(folder)) {
    if (files_of_checkpoint(step).empty() && !holds_harmless_alone(step)) return step;
  }
  return std::nullopt;
}

void remove_checkpoints(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& step : step_folders(folder)) {
    for (const auto& file : files_of_checkpoint(step)) fs::remove(file, ignored);
    fs::remove(step, ignored);  // only if it is empty
  }
}

}  // namespace ampersand
