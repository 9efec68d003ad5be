// The listing of `train --explain`.
#include "app/terminal/cast_listing.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace ampersand {
namespace {

std::string line(const nlohmann::json& op) {
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "%6ld  %5ld  %9.3f  %6ld  ", op.at("calls").get<long>(),
                op.at("casts").get<long>(), op.at("bytes").get<double>() / 1e6,
                op.at("served").get<long>());
  return numbers + op.at("why").get<std::string>() + "\n";
}

}  // namespace

std::string cast_listing(const nlohmann::json& casts) {
  std::string text = "what autocast did in the forward pass of step " + casts.at("step").dump() +
                     " (policy " + casts.at("policy").get<std::string>() + "):\n" +
                     " calls  casts    MB cast  cached  op and rule\n";
  for (const auto& op : casts.at("ops")) text += line(op);
  if (casts.at("ops").empty()) text += "nothing: fp32 computes without autocast\n";
  return text;
}

}  // namespace ampersand
