// How the player's numbers, tensors and states cross to Python and back: numbers come in as C99
// hexadecimal floats and go out as bit patterns, so that none is rounded on the way.
#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <string>

#include "amp/grad_scaler.h"

namespace amp::parity {

using Json = nlohmann::json;

double number(const Json& text);
c10::ScalarType dtype_named(const std::string& name);
at::Tensor tensor_of(const Json& values, c10::ScalarType dtype);  // of one dimension
GradScalerOptions options_of(const Json& given);
GradScalerState state_of(const Json& given);

std::string bits_of(double value);
std::string bits_of(float value);
Json described(const at::Tensor& tensor);  // null if undefined
Json described(const GradScalerState& state);

}  // namespace amp::parity
