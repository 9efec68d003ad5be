// "How the numbers were got": everything a reader needs to repeat or to doubt them.
#pragma once

#include <string>

#include "app/report/fields.h"

namespace ampersand::report {

// HTML: command line, machine, settings, memory by part and a table with every run. `results` as
// summary_table's.
std::string details(const Json& results);

}  // namespace ampersand::report
