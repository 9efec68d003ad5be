// Reading optional fields of a results object.
#include "app/report/fields.h"

namespace ampersand::report {
namespace {

const Json* find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto field = object.find(key);
  return field == object.end() ? nullptr : &*field;
}

}  // namespace

std::optional<double> number(const Json& object, const char* key) {
  const Json* field = find(object, key);
  if (field == nullptr || !field->is_number()) return std::nullopt;
  return field->get<double>();
}

std::optional<std::string> text(const Json& object, const char* key) {
  const Json* field = find(object, key);
  if (field == nullptr || !field->is_string()) return std::nullopt;
  return field->get<std::string>();
}

bool flag(const Json& object, const char* key) {
  const Json* field = find(object, key);
  return field != nullptr && field->is_boolean() && field->get<bool>();
}

const Json& section(const Json& object, const char* key) {
  static const Json kEmpty = Json::object();
  const Json* field = find(object, key);
  return field != nullptr && field->is_object() ? *field : kEmpty;
}

const Json& list(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  const Json* field = find(object, key);
  return field != nullptr && field->is_array() ? *field : kEmpty;
}

}  // namespace ampersand::report
