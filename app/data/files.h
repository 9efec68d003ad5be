// Looking for the files of a data set in a folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ampersand {

// Throws amp::IoError, ending with `remedy`, unless `folder` is a folder.
void check_folder(const std::filesystem::path& folder, const std::string& remedy);

// The first of `names` that `folder` holds, every plain one before every one with ".gz" appended.
// Throws amp::IoError when the folder cannot be examined.
std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               const std::vector<std::string>& names);

// As find_file, but throws amp::IoError, listing `names` and ending with `remedy`, for none.
std::filesystem::path require_file(const std::filesystem::path& folder,
                                   const std::vector<std::string>& names,
                                   const std::string& remedy);

// The last part of the folder's path, also of "data/" and ".".
std::string folder_name(const std::filesystem::path& folder);

// The value of an environment variable; nothing where it is unset or empty.
std::optional<std::string> environment(const char* name);

// Where the user's cache has what Ampersand keeps: ampersand in XDG_CACHE_HOME, or in .cache in
// HOME; nothing where neither is set. The folder need not be there.
std::optional<std::filesystem::path> cache_folder();

}  // namespace ampersand
