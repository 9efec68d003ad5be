// Calls of ops that are described as plain data, as in tests/golden/autocast_ops.json.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Dimname.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <cstdint>
#include <exception>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "amp/autocast.h"
#include "tests/support/golden.h"
#include "tests/support/here.h"

namespace amp::tests {

// Hands out dtypes by a text such as "float32 low to float64": one for the first of a call's
// tensors, one for the others, and perhaps one that the op is asked for.
class Fed {
 public:
  Fed(const std::string& text, c10::ScalarType low) : low_(low) {
    std::istringstream words(text);
    for (std::string word; words >> word && word != "to";) tensors_.push_back(dtype(word));
    for (std::string word; words >> word;) output_ = dtype(word);
  }
  c10::ScalarType take() { return taken_++ == 0 ? tensors_.front() : tensors_.back(); }
  std::optional<c10::ScalarType> output() const { return output_; }

 private:
  c10::ScalarType dtype(const std::string& name) const {
    return name == "low" ? low_ : name == "int64" ? at::kLong : dtype_named(name);
  }
  c10::ScalarType low_;
  std::vector<c10::ScalarType> tensors_;
  std::optional<c10::ScalarType> output_;
  int taken_ = 0;
};

// The fills of tests/golden/autocast_calls.py.
inline at::Tensor filled(const std::string& fill, const std::vector<std::int64_t>& shape,
                         c10::ScalarType dtype) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  const auto index = at::arange(count);
  at::Tensor values;
  if (fill == "pattern") {
    values = (index * 7).remainder(16) + 1;
    if (dtype != at::kLong) values = values / 32;
  } else if (fill == "matrix") {
    const auto side = std::llround(std::sqrt(static_cast<double>(count)));
    values = at::where(index.remainder(side + 1) == 0, 8, 1);
  } else if (fill == "signs") {
    values = 1 - index.remainder(2) * 2;
  } else {
    throw std::runtime_error("no fill " + fill);
  }
  return values.reshape(shape).to(dtype).to(test_device());
}

inline at::Tensor tensor_of(const Json& value, Fed& fed) {
  if (value.contains("shape")) {
    const auto shape = value["shape"].get<std::vector<std::int64_t>>();
    const auto dtype = value.contains("int32") ? at::kInt : at::kLong;
    const auto& given = value[dtype == at::kInt ? "int32" : "int64"];
    return at::tensor(given.get<std::vector<std::int64_t>>())
        .reshape(shape)
        .to(dtype)
        .to(test_device());
  }
  for (const auto& [key, shape] : value.items()) {
    if (key == "names") continue;
    auto made = filled(key, shape.get<std::vector<std::int64_t>>(), fed.take());
    if (!value.contains("names")) return made;
    std::vector<at::Dimname> names;
    for (const std::string name : value["names"]) {
      names.push_back(at::Dimname::fromSymbol(at::Symbol::dimname(name)));
    }
    return made.rename(names);
  }
  throw std::runtime_error("no tensor: " + value.dump());
}

// `value` as an argument of a schema's type.
inline c10::IValue argument(const Json& value, const c10::TypePtr& type, Fed& fed) {
  if (value.is_null()) return {};
  if (const auto optional = type->cast<c10::OptionalType>()) {
    return argument(value, optional->getElementType(), fed);
  }
  if (const auto list = type->cast<c10::ListType>()) {
    c10::impl::GenericList items(list->getElementType());
    for (const auto& item : value) items.push_back(argument(item, list->getElementType(), fed));
    return items;
  }
  if (value.is_object()) return tensor_of(value, fed);
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float() || type->kind() == c10::TypeKind::FloatType) {
    return value.get<double>();
  }
  return value.get<std::int64_t>();
}

inline torch::jit::Stack stack_of(const c10::FunctionSchema& schema, const Json& given, Fed& fed) {
  torch::jit::Stack stack;
  for (const auto& parameter : schema.arguments()) {
    if (given.contains(parameter.name())) {
      stack.push_back(argument(given[parameter.name()], parameter.real_type(), fed));
    } else if (parameter.name() == "dtype" && fed.output()) {
      stack.emplace_back(*fed.output());
    } else {
      stack.push_back(parameter.default_value().value());
    }
  }
  return stack;
}

inline std::string dtypes_of(const torch::jit::Stack& outputs) {
  std::string text;
  for (const auto& output : outputs) {
    if (!output.isTensor()) continue;
    const auto& made = output.toTensor();
    text += text.empty() ? "" : " ";
    text += made.defined() ? c10::getDtypeNames(made.scalar_type()).first : "none";
  }
  return text;
}

// The dtypes of the outputs of a row's op, or how it fails. The caller sets the region.
inline std::string called(const Json& row, const std::string& fed_text, c10::ScalarType low) {
  const std::string name = row["op"];
  const auto dot = name.find('.');
  const auto overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(
      ("aten::" + name.substr(0, dot)).c_str(), overload.c_str());
  Fed fed(fed_text, low);
  auto stack = stack_of(op.schema(), row["arguments"], fed);
  try {
    op.callBoxed(stack);
  } catch (const std::exception& error) {
    const bool lacking = std::string(error.what()).find("not implemented for") != std::string::npos;
    return lacking ? "fails: not implemented" : "fails: refused";
  }
  return dtypes_of(stack);
}

// What every op gives by a list on the CPU, as {op: {region: [result]}}. list: "cpu" or "cuda".
inline Json results_by(const std::string& list) {
  Json results;
  const auto file = golden("autocast_ops.json");
  for (const auto& row : file["ops"]) {
    if (row["runs"]) results[row["op"]] = row[list];
  }
  return results;
}

// Compares every op that runs, on the tests' device, with such results.
inline void expect_every_op(const Json& results, c10::ScalarType region,
                            const AutocastOptions& options) {
  const auto file = golden("autocast_ops.json");
  const auto name = c10::getDtypeNames(region).first;
  int ran = 0;
  for (const auto& row : file["ops"]) {
    if (!row["runs"]) continue;
    ++ran;
    const auto& expected = results.at(row["op"])[name];
    for (std::size_t i = 0; i < row["fed"].size(); ++i) {
      if (expected[i] == "crashed") continue;  // in Python, and this process would, too
      const Autocast autocast(kHere, region, options);
      const auto result = called(row, row["fed"][i], region);
      if (row.contains("needs_processor") && result.starts_with("fails")) continue;
      EXPECT_EQ(result, expected[i].get<std::string>()) << row["op"] << " fed " << row["fed"][i];
    }
  }
  EXPECT_EQ(ran, 209);
}

}  // namespace amp::tests
