// Python's pickles, read without running anything: only those of plain data.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "src/pickle/plain_data.h"

namespace amp::pickle {

// Thrown for a pickle that would build or call something: `what` it is, as a message may show it.
struct NotPlain {
  std::string what;
};

// Reads the pickle at the beginning of `bytes` and drops it from them. Protocols 2 to 5; the one
// class it knows is collections.OrderedDict. It takes memory of about a hundred
// times the bytes at most; nothing recurses, so that depth needs no limit.
//
// Throws NotPlain, and amp::IoError with the file `path` for what is cut short or no pickle.
// Source: Lib/pickletools.py of Python 3.13.
PlainData read_pickle(std::string_view& bytes, const std::filesystem::path& path);

}  // namespace amp::pickle
