// What a file given for weights or for a model is.
#pragma once

#include <filesystem>
#include <string>

namespace ampersand {

enum class FileKind { unknown, safetensors, script, state, pointer, page, library, other };

struct FileMatter {
  FileKind kind = FileKind::unknown;
  std::string words;  // "is ...", for messages; empty where it is unknown
};

// Looks at the file's first bytes, and of a zip archive at its list of names; believes no extension.
// Of a file that cannot be read it knows nothing, which whoever opens it will say.
FileMatter matter_of(const std::filesystem::path& file);

}  // namespace ampersand
