// Putting the parts of a page into its frame.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace ampersand::report {

using Parts = std::map<std::string_view, std::string, std::less<>>;

// Replaces each {{name}} of `page`. Throws std::out_of_range for a name that has no part.
std::string fill(std::string_view page, const Parts& parts);

// JSON that can stand inside a script element.
std::string json_for_script(std::string_view json);

// "2026-11-23T07:00:00Z" as "2026-11-23 07:00 UTC"; anything else as it is.
std::string readable_time(const std::string& time);

}  // namespace ampersand::report
