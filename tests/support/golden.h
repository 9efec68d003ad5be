// What Python's PyTorch computed: the JSON files that the scripts in tests/golden make.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/folders.h"
#include "tests/support/tensors.h"

namespace amp::tests {

using Json = nlohmann::json;

inline Json golden(const std::string& name) {
  std::ifstream file(golden_folder() + "/" + name);
  if (!file) throw std::runtime_error("no golden file " + name);
  return Json::parse(file);
}

// A number, or one of the texts that stand for what JSON has no number for.
inline double number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  if (text == "inf") return infinity;
  if (text == "-inf") return -infinity;
  throw std::runtime_error("not a number: " + text);
}

inline Values numbers(const Json& list) {
  Values values;
  for (const auto& value : list) values.push_back(number(value));
  return values;
}

inline c10::ScalarType dtype_named(const std::string& name) {
  static const std::map<std::string, c10::ScalarType> dtypes = {{"float16", at::kHalf},
                                                                {"bfloat16", at::kBFloat16},
                                                                {"float32", at::kFloat},
                                                                {"float64", at::kDouble}};
  return dtypes.at(name);
}

}  // namespace amp::tests
