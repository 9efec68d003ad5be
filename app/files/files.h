// Looking for the files of a data set in a folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ampersand {

// Throws amp::IoError, ending with `remedy`, unless `folder` is a folder.
void check_folder(const std::filesystem::path& folder, const std::string& remedy);

// Throws amp::IoError, saying what is there in its place or the system's reason and ending with `remedy`,
// unless `path` leads to a regular file that may be read.
void check_file(const std::filesystem::path& path, const std::string& remedy = "");

// The first of `names` that `folder` holds, every plain one before every one with ".gz" appended; where
// none is there, one whose letters have another case.
// Throws amp::IoError when the folder cannot be examined.
std::optional<std::filesystem::path> find_file(const std::filesystem::path& folder,
                                               const std::vector<std::string>& names);

// As find_file, but throws amp::IoError, listing `names` and ending with `remedy`, for none.
std::filesystem::path require_file(const std::filesystem::path& folder,
                                   const std::vector<std::string>& names,
                                   const std::string& remedy);

// Whether the name ends in the extension, such as ".wav", in any case.
bool has_extension(const std::filesystem::path& path, std::string_view extension);

// ASCII letters of `text` in lower case.
std::string lower_case(std::string text);

// Everything that is in the folder itself, by name. Throws amp::IoError when it cannot be examined.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

// Says in a line on standard error, once for each folder, how many of its files are not read, and names
// the first; nothing where there are none.
void tell_passed_over(const std::filesystem::path& folder,
                      const std::vector<std::filesystem::path>& strangers);

// The same of those entries of the folder that are neither in `read` nor named as one of `known`.
void count_passed_over(const std::filesystem::path& folder,
                       const std::vector<std::filesystem::path>& read,
                       const std::vector<std::string>& known = {});

// Whether these bytes begin a Git LFS pointer, which a checkout without LFS has in place of a file.
bool is_pointer(std::string_view bytes);

// The last part of the folder's path, also of "data/" and ".".
std::string folder_name(const std::filesystem::path& folder);

// The value of an environment variable; nothing where it is unset or empty.
std::optional<std::string> environment(const char* name);

// Where the user's cache has what Ampersand keeps: ampersand in XDG_CACHE_HOME, or in .cache in
// HOME; nothing where neither is set. The folder need not be there.
std::optional<std::filesystem::path> cache_folder();

}  // namespace ampersand
