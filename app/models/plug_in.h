// Models of the user's own, in shared libraries.
#pragma once

#include <string>

namespace ampersand {

// LIBRARY.so or LIBRARY.so:NAME.
bool is_plug_in(const std::string& what);

// Loads the library, which registers its models (amp/model_registry.h), and returns the name of the
// one meant: the only one, or NAME. It stays loaded. Throws amp::IoError for a file that is none or
// registers nothing, and amp::InvalidArgument where the name is missing or unknown.
std::string load_plug_in(const std::string& what);

}  // namespace ampersand
