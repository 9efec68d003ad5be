// Standard input, output and error: there from the beginning, and looked at in the end.
#pragma once

#include <string>

namespace ampersand {

// Opens those that the parent closed on /dev/null, before any other file can get their number, and
// lets a write to a pipe without a reader fail instead of ending the process. They are closed again
// in a program that this process becomes.
void open_standard_streams();

// Writes out what standard output still holds. Returns why not everything that was printed could be
// written, in the system's words; empty if everything was. is_answer: it was all that the command
// gives, so that a closed standard output is a failure, too.
std::string standard_output_failure(bool is_answer);

}  // namespace ampersand
