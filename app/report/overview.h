// The head of the report: what was trained, on what, and what came out of it.
#pragma once

#include <string>

#include "app/report/fields.h"

namespace ampersand::report {

// Plain text: "cnn on fashion-mnist: fp32, bf16 and fp16"; many precisions are counted.
std::string title(const Json& results);

// One sentence of plain text: model, data, epochs, batch size, optimizer, seeds and machine, as far
// as known.
std::string description(const Json& results);

// HTML: the verdict as a list, and a notice where the program was interrupted. Empty where there is
// neither.
std::string verdict(const Json& results);

// HTML: what `compare --inspect` found, with links to its pages; empty where there is none.
std::string inside(const Json& results);

}  // namespace ampersand::report
