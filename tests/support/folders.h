// Where the tests find the files that lie beside their sources.
#pragma once

#include <string>

namespace amp::tests {

// Functions and not macros: a path in a compiler's arguments would keep two clones from sharing what
// a compiler cache holds.
const std::string& source_folder();  // of the project
std::string golden_folder();         // what Python's PyTorch computed: tests/golden
std::string data_folder();           // samples for the program's parts: tests/app/data

}  // namespace amp::tests
