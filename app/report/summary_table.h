// The table at the head of the report: a row per measure, a column per precision.
#pragma once

#include <string>

#include "app/report/fields.h"

namespace ampersand::report {

// The table as HTML. `results` must have been checked: "runs" holds objects with a string
// "precision". Differences and ratios are to the precision "fp32", and are dashes where it was not
// run.
std::string summary_table(const Json& results);

}  // namespace ampersand::report
