// JSON from files that nobody vouches for.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace amp::files {

// The value of `text`. Throws amp::IoError, with the file `path` and `what` in its message ("the
// header"), for text that is not JSON, for an object that has a key twice (nlohmann::json would
// keep the last and say nothing) and for values nested deeper than `max_depth`.
nlohmann::json parse_strictly(std::string_view text, const std::filesystem::path& path,
                              const std::string& what, int max_depth);

// A name out of a file as a message may show it: quoted, on one line, not long.
std::string shown(const std::string& name);

}  // namespace amp::files
