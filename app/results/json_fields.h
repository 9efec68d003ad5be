// Fields of JSON objects that may be missing or null.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

namespace ampersand {

// null for nothing.
template <typename Value>
nlohmann::json in_json(const std::optional<Value>& value) {
  return value.has_value() ? nlohmann::json(*value) : nlohmann::json();
}

// Nothing where the field is missing, null or no number.
template <typename Value = double>
std::optional<Value> number_in(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->template get<Value>();
}

}  // namespace ampersand
