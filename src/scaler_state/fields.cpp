// Fields that are there once and of the type that is due.
#include "src/scaler_state/fields.h"

#include <algorithm>
#include <array>

#include "amp/error.h"
#include "src/files/strict_json.h"
#include "src/grad_scaler/validate.h"
#include "src/pickle/torch_file.h"

namespace amp::scaler_state {
namespace {

using files::shown;

std::string kind_of(const pickle::Value& value) {
  static constexpr std::array kinds = {"None",  "a bool", "an int", "a float",
                                       "a str", "a list", "a dict", "a class"};
  static_assert(kinds.size() == std::variant_size_v<pickle::Value>);
  return kinds[value.index()];
}

const std::string* text_at(const pickle::PlainData& data, pickle::Ref ref) {
  return std::get_if<std::string>(&data[ref]);
}

}  // namespace

pickle::PlainData read_plain_data(const std::filesystem::path& path, const std::string& remedy) {
  try {
    return pickle::read_torch_file(path);
  } catch (const pickle::NotPlain& error) {
    throw IoError(path, "holds more than the plain data of a loss scaler: " + error.what +
                            "; in Python " + remedy);
  }
}

Fields::Fields(const pickle::PlainData& data, pickle::Ref ref, const std::string& what,
               const std::filesystem::path& path)
    : data_(&data), dict_(std::get_if<pickle::Dict>(&data[ref])), path_(&path) {
  if (dict_ == nullptr) {
    throw IoError(path, what + " must hold a dict, got " + kind_of(data[ref]) +
                            "; save the scaler's state alone");
  }
}

std::size_t Fields::count_beginning(std::string_view beginning) const {
  return static_cast<std::size_t>(std::ranges::count_if(dict_->entries, [&](const auto& entry) {
    const auto* text = text_at(*data_, entry.first);
    return text != nullptr && text->starts_with(beginning);
  }));
}

std::string Fields::field_with(std::string_view inner) const {
  for (const auto& [key, value] : dict_->entries) {
    const auto* name = text_at(*data_, key);
    if (name == nullptr || !std::holds_alternative<pickle::Dict>((*data_)[value])) continue;
    if (Fields(*data_, value, *name, *path_).has(inner)) return *name;
  }
  return {};
}

std::size_t Fields::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(dict_->entries, [&](const auto& entry) {
    const auto* text = text_at(*data_, entry.first);
    return text != nullptr && *text == name;
  }));
}

pickle::Ref Fields::at(std::string_view name) const {
  const auto times = count(name);
  if (times != 1) {
    throw IoError(*path_, (times == 0 ? "lacks the field " : "has more than once the field ") +
                              shown(std::string(name)) +
                              " of a loss scaler's state; write it again");
  }
  return std::ranges::find_if(dict_->entries,
                              [&](const auto& entry) {
                                const auto* text = text_at(*data_, entry.first);
                                return text != nullptr && *text == name;
                              })
      ->second;
}

void Fields::refuse_type(std::string_view name, const char* expected,
                         const pickle::Value& value) const {
  throw IoError(*path_, "its field " + shown(std::string(name)) + " must be " + expected +
                            ", got " + kind_of(value) + "; write the file again");
}

double Fields::number(std::string_view name) const {
  const auto& value = (*data_)[at(name)];
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  refuse_type(name, "a number", value);
}

std::int64_t Fields::integer(std::string_view name) const {
  const auto& value = (*data_)[at(name)];
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  refuse_type(name, "an int", value);
}

std::int64_t Fields::integer_or(std::string_view name, std::int64_t other) const {
  return has(name) ? integer(name) : other;
}

bool Fields::boolean(std::string_view name) const {
  const auto& value = (*data_)[at(name)];
  if (const auto* truth = std::get_if<bool>(&value)) return *truth;
  refuse_type(name, "a bool", value);
}

Fields Fields::fields(std::string_view name) const {
  return {*data_, at(name), "its field " + shown(std::string(name)), *path_};
}

GradScalerState checked(const GradScalerState& state, const std::filesystem::path& path) {
  try {
    scaling::check_state(state);
  } catch (const InvalidArgument& error) {
    throw IoError(path, std::string("holds what no scaler can have: ") + error.what());
  }
  return state;
}

}  // namespace amp::scaler_state
