// Which files in a command's output folder this program wrote: nothing else is ever replaced or
// removed there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ampersand {

// From now on the files that this process writes into the folder are noted in its list, the hidden
// file .ampersand-files, a line each: the XXH3-128 of what was written, or dashes for a file that
// grows, and the file's name. A process has one such folder; none before the first call.
void keep_own_files(const std::filesystem::path& folder);

// Notes a file before it is written; of another folder than that of keep_own_files, nothing. Without
// a text it is one that grows. Throws amp::IoError where the list cannot be written.
void note_own_file(const std::filesystem::path& path, std::optional<std::string_view> text = {});

// Whether the folder's list has the file, and nobody has changed it since. A folder without a list
// but with a training's metrics.jsonl is one of an earlier version: then a name that this program
// uses will do. Never a link.
bool is_own_file(const std::filesystem::path& folder, const std::filesystem::path& name);

// Throws amp::InvalidArgument if there is something of this name in the folder of keep_own_files
// that this program did not write.
void check_replaceable(const std::filesystem::path& path);

// Removes the file if it is the program's own. What cannot be removed stays.
void remove_own_file(const std::filesystem::path& folder, const std::filesystem::path& name);

// The same for all of its own files in a folder below, and for the folders that are empty then.
void remove_own_folder(const std::filesystem::path& folder, const std::filesystem::path& below);

// Checkpoints, which their manifests make known: whether there is a checkpoint in the folder, the
// first thing there that has a checkpoint's name and is none (and not only what file managers and
// editors left), and the removal of all.
bool holds_checkpoints(const std::filesystem::path& folder);
std::optional<std::filesystem::path> foreign_checkpoint(const std::filesystem::path& folder);
void remove_checkpoints(const std::filesystem::path& folder);

}  // namespace ampersand
