// Where a run's data and model are, for a run's folder that is used from elsewhere, or was moved.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ampersand {

// XXH3-128 of what a file holds, whatever its name; of a folder, of its files' names and bytes, hidden
// ones left out; of NAME.src or NAME.tgt, of both. Empty if it cannot be read. Reads all of it.
std::string content_hash(const std::filesystem::path& what);

// {"absolute", "from_run", "content"}: the path, the path from the run's folder, and content_hash; the
// last once per path and process. An empty object for what is not there, or has no name in UTF-8.
nlohmann::json whereabouts(const std::filesystem::path& what, const std::filesystem::path& run);

// The place now: from the run's folder, as it was then, or as it was given, the first that is there;
// where they are several, the first with the content of then. `given` if none is there, or if it is
// the same file.
std::string found_again(const nlohmann::json& whereabouts, const std::filesystem::path& run,
                        const std::string& given);

// Whether two paths lead to the same data: the same place, or the content that whereabouts tell of.
bool is_same_data(const nlohmann::json& whereabouts, const std::filesystem::path& before,
                  const std::filesystem::path& now);

}  // namespace ampersand
