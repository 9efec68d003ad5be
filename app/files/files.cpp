// Looking for the files of a data set in a folder.
#include "app/files/files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <system_error>

#include "amp/error.h"
#include "app/files/utf8.h"

namespace ampersand {

void check_folder(const std::filesystem::path& folder, const std::string& remedy) {
  std::error_code error;
  const auto status = std::filesystem::status(folder, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw amp::IoError(folder, "no such folder; " + remedy);
  }
  if (error) throw amp::IoError(folder, "cannot be examined: " + error.message());
  if (!std::filesystem::is_directory(status)) {
    throw amp::IoError(folder, "not a folder; " + remedy);
  }
}

void check_file(const std::filesystem::path& path, const std::string& remedy) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto refuse = [&](const std::string& why) {
    throw amp::IoError(path, why + (remedy.empty() ? "" : "; " + remedy));
  };
  const auto status = fs::status(path, error);
  const auto reason = error.message();
  const bool is_within_a_file = error == std::errc::not_a_directory;
  const bool is_link = fs::is_symlink(path, error);
  if (status.type() == fs::file_type::not_found && is_link)
    refuse("a link to " + fs::read_symlink(path, error).string() + ", where nothing is");
  if (status.type() == fs::file_type::not_found)
    refuse("no such file" + (is_within_a_file ? ": " + reason : ""));
  if (status.type() == fs::file_type::none) refuse("cannot be examined: " + reason);
  if (status.type() == fs::file_type::directory) refuse("a folder, and not a file");
  if (status.type() != fs::file_type::regular) refuse("not a regular file");
  if (access(path.c_str(), R_OK) != 0)
    refuse("cannot be read: " + std::generic_category().message(errno));
}

std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               const std::vector<std::string>& names) {
  for (const char* packing : {"", ".gz"}) {
    for (const std::string& name : names) {
      const auto path = folder / (name + packing);
      std::error_code error;
      if (std::filesystem::exists(path, error)) return path;
      if (error) throw amp::IoError(path, "cannot be examined: " + error.message());
    }
  }
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return std::nullopt;
  const auto entries = entries_of(folder);
  for (const char* packing : {"", ".gz"}) {
    for (const std::string& name : names) {
      const auto is_it = [&, wanted = lower_case(name + packing)](const auto& path) {
        return lower_case(path.filename().string()) == wanted;
      };
      if (const auto found = std::ranges::find_if(entries, is_it); found != entries.end())
        return *found;
    }
  }
  return std::nullopt;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

bool has_extension(const std::filesystem::path& path, std::string_view extension) {
  return lower_case(path.extension().string()) == extension;
}

std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    entries.push_back(entry->path());
  if (error) throw amp::IoError(folder, "cannot be examined: " + error.message());
  std::ranges::sort(
      entries, {}, [](const fs::path& path) -> const auto& { return path.native(); });
  return entries;
}

void tell_passed_over(const std::filesystem::path& folder,
                      const std::vector<std::filesystem::path>& strangers) {
  static std::set<std::filesystem::path> told;
  if (strangers.empty() || !told.insert(std::filesystem::absolute(folder)).second) return;
  const bool is_one = strangers.size() == 1;
  const auto line = folder.string() + ": passed over " + std::to_string(strangers.size()) +
                    (is_one ? " file that is" : " files that are") + " not of the data set, " +
                    (is_one ? "" : "such as ") + strangers[0].filename().string();
  std::fprintf(stderr, "ampersand: %s\n", readable_line(line).c_str());
}

void count_passed_over(const std::filesystem::path& folder,
                       const std::vector<std::filesystem::path>& read,
                       const std::vector<std::string>& known) {
  std::set<std::string> names(known.begin(), known.end());
  for (const auto& path : read) names.insert(path.filename().string());
  auto entries = entries_of(folder);
  std::erase_if(entries,
                [&](const auto& path) { return names.contains(path.filename().string()); });
  tell_passed_over(folder, entries);
}

std::filesystem::path require_file(const std::filesystem::path& folder,
                                   const std::vector<std::string>& names,
                                   const std::string& remedy) {
  if (const auto found = find_file(folder, names)) return *found;
  std::string looked_for;
  for (const std::string& name : names) looked_for += (looked_for.empty() ? "" : ", ") + name;
  throw amp::IoError(folder,
                     "looked for " + looked_for + ", plain or .gz, and found none; " + remedy);
}

bool is_pointer(std::string_view bytes) {
  return bytes.starts_with("version https://git-lfs.github.com/spec/");
}

std::string folder_name(const std::filesystem::path& folder) {
  auto whole = std::filesystem::absolute(folder).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.has_filename() ? whole.filename().string() : whole.string();
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::filesystem::path> cache_folder() {
  if (const auto cache = environment("XDG_CACHE_HOME")) {
    return std::filesystem::path(*cache) / "ampersand";
  }
  if (const auto home = environment("HOME")) {
    return std::filesystem::path(*home) / ".cache/ampersand";
  }
  return std::nullopt;
}

}  // namespace ampersand
