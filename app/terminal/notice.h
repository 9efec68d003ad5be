// A line to the user that is no error.
#pragma once

#include <string>

namespace ampersand {

// Writes "ampersand: LINE" to standard error, each line once in the process's life.
void notice(const std::string& line);

}  // namespace ampersand
