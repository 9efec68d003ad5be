// Reading optional fields of a results object: a missing field and one of another type are the
// same, absent.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ampersand::report {

using Json = nlohmann::json;

// Each returns the field `key` of `object`, or nothing where `object` is no object, has no such
// field, or has one of another type. None throws.
std::optional<double> number(const Json& object, const char* key);
std::optional<std::string> text(const Json& object, const char* key);
bool flag(const Json& object, const char* key);            // absent counts as false
const Json& section(const Json& object, const char* key);  // absent: an empty object
const Json& list(const Json& object, const char* key);     // absent: an empty array

}  // namespace ampersand::report
