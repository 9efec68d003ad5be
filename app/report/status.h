// How a training run ended, in words.
#pragma once

#include <string>

#include "app/report/precision_results.h"

namespace ampersand::report {

// The endings of all runs of one precision as HTML marks: "ok", "diverged at step 1,040" with "1 of
// 2 seeds", "stopped: reason", "interrupted".
std::string status_marks(const Json& results, const PrecisionResults& column);

// The ending of one run as plain text, in the same words.
std::string status_phrase(const Json& results, const Json& run);

}  // namespace ampersand::report
