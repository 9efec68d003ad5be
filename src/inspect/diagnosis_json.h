// A diagnosis and its evidence as JSON values.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "amp/inspect/diagnosis.h"

namespace amp::inspect {

// JSON has no Inf and no NaN.
nlohmann::ordered_json number_or_null(std::optional<double> number);
nlohmann::ordered_json json_of(const Diagnosis& diagnosis);
nlohmann::ordered_json json_of(const FirstNonFinite& found);
nlohmann::ordered_json json_of(const Thrown& thrown);

}  // namespace amp::inspect
