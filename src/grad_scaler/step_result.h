// The words about a skipped step.
#pragma once

#include <string>

namespace amp::scaling {

std::string shown(double value);
std::string overflow_at(double scale);  // why a step was skipped

}  // namespace amp::scaling
