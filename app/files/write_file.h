// Small files, written whole or not at all, and outputs that are no plain file.
#pragma once

#include <filesystem>
#include <string>

namespace ampersand {

// A temporary file beside it, then a rename: a full disk leaves the file that was there. A link is
// written through; a device or a pipe is written to, and so are /dev/stdout and this process's other
// descriptors. In the folder of keep_own_files a file that this program did not write is refused with
// amp::InvalidArgument. Throws amp::IoError, with the system's reason.
void write_file(const std::filesystem::path& path, const std::string& text);

// What --output FILE means: "-" is standard output, and a file that is there already throws
// amp::InvalidArgument unless it shall be replaced. Returns what to write to.
std::filesystem::path output_file(const std::filesystem::path& given, bool overwrite);

// Whether it is standard output, so that nothing else may be printed there.
bool is_standard_output(const std::filesystem::path& output);

}  // namespace ampersand
