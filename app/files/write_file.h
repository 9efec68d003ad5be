// Small files, written whole or not at all.
#pragma once

#include <filesystem>
#include <string>

namespace ampersand {

// A temporary file beside it, then a rename: a full disk leaves the file that was there. Throws
// amp::IoError.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace ampersand
