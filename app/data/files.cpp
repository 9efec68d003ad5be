// Looking for the files of a data set in a folder.
#include "app/data/files.h"

#include <cstdlib>
#include <system_error>

#include "amp/error.h"

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
  return std::nullopt;
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
