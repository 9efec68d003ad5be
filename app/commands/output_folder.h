// Where a command writes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/settings/settings.h"

namespace ampersand {

// settings.output, or runs/<kind>-<date>, which is always a new one; made if it is not there, and from
// now on the folder of keep_own_files. Throws amp::InvalidArgument where it has one of these files, or
// another that such a command writes, and settings.overwrite is false or this program did not write
// it; and amp::IoError where it cannot be made.
std::filesystem::path output_folder(const std::string& kind, const Settings& settings,
                                    const std::vector<std::string>& results);

// UTC, in strftime's format.
std::string time_now(const char* format);

// "2026-11-23T07:00:00Z"
std::string timestamp();

}  // namespace ampersand
