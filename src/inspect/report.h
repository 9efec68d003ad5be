// What an Inspector knows, as JSON.
#pragma once

#include <string>
#include <vector>

#include "amp/inspect.h"

namespace amp::inspect {

struct Report {
  Diagnosis diagnosis;
  const Evidence& evidence;
  const std::vector<OpSummary>& ops;
  const std::vector<ParameterRecord>& parameters;
  std::vector<CastCount> casts;
  const std::vector<Fp32Comparison>& fp32_comparisons;
};

std::string report(const Report& report);

}  // namespace amp::inspect
