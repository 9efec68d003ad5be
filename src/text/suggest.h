// "Did you mean": the known names nearest to one that is not known.
#pragma once

#include <string>
#include <vector>

namespace amp::text {

// "; did you mean 'x'?" for the nearest known name by edit distance, or a list of all of them where
// none is near.
std::string suggestion(const std::string& name, const std::vector<std::string>& known);

}  // namespace amp::text
