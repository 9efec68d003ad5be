// A low-precision training op by op beside fp32.
#include "app/inspection/beside_fp32.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

namespace ampersand {
namespace {

using nlohmann::json;

std::string text_of(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string percent(double share) {
  return share > 0 && share < 1e-5 ? "less than 0.001 %" : text_of("%.2g %%", 100 * share);
}

json deviation_json(const amp::Deviation& deviation) {
  return {{"relative_error", number_or_null(deviation.relative_error())},
          {"cosine", deviation.cosine()},
          {"max_ulps", number_or_null(deviation.max_ulps)},
          {"compared", deviation.compared},
          {"beyond_ulp", deviation.beyond_ulp},
          {"lost", deviation.lost}};
}

// "blocks.0.attn softmax"
std::string place_of(const amp::Fp32Comparison& op) {
  const auto name = shown_op(op.op, op.op);
  return op.module.empty() ? name : op.module + " " + name;
}

json op_json(const amp::Fp32Comparison& op, amp::Format format) {
  auto row = deviation_json(op.deviation);
  row.update({{"op", shown_op(op.op, op.op)},
              {"module", op.module},
              {"pass", amp::pass_name(op.pass)},
              {"dtype", op.dtype},
              {"calls", op.calls},
              {"departs", op.deviation.departs(format)}});
  return row;
}

json layers_json(const std::vector<amp::Fp32Comparison>& ops, amp::Format format) {
  using Key = std::pair<std::string, amp::Pass>;
  std::map<Key, std::size_t> places;
  std::vector<std::pair<Key, amp::Deviation>> layers;
  for (const auto& op : ops) {
    const auto [place, is_new] = places.try_emplace({op.module, op.pass}, layers.size());
    if (is_new) layers.push_back({place->first, {}});
    layers[place->second].second.add(op.deviation);
  }
  json list = json::array();
  for (const auto& [key, deviation] : layers) {
    auto row = deviation_json(deviation);
    row.update({{"module", key.first},
                {"pass", amp::pass_name(key.second)},
                {"departs", deviation.departs(format)}});
    list.push_back(std::move(row));
  }
  return list;
}

// What rounding to a format does to numbers that lie anywhere in it.
std::string rounding_of(amp::Format format) {
  return "rounding to " + std::string(amp::format_name(format)) + " explains about " +
         percent(amp::format_info(format).epsilon / 4);
}

std::string departure_sentence(const Watch& watch) {
  const auto format = watch.compared_format();
  const auto& [step, op] = *watch.first_departure();
  const auto& deviation = op.deviation;
  const auto departing = std::ranges::count_if(
      watch.fp32_comparisons(), [&](const auto& one) { return one.deviation.departs(format); });
  auto text = "step " + std::to_string(step) + ": " + place_of(op) + " departs from fp32 in the " +
              amp::pass_name(op.pass) + " pass: on the same inputs, ";
  if (deviation.lost > 0) {
    text += std::to_string(deviation.lost) + " of its " +
            std::to_string(deviation.lost + deviation.compared) +
            " numbers are Inf or NaN, which fp32 has";
  } else {
    text += "its result is " + percent(deviation.relative_error()) + " off, where " +
            rounding_of(format);
  }
  return text + " (" + std::to_string(departing) + " of " +
         std::to_string(watch.fp32_comparisons().size()) + " ops depart)";
}

std::string agreement_sentence(const Watch& watch) {
  const auto& ops = watch.fp32_comparisons();
  if (ops.empty()) return "no op ran in low precision, or could be computed again in fp32";
  const auto furthest = std::ranges::max_element(
      ops, {}, [](const amp::Fp32Comparison& op) { return op.deviation.relative_error(); });
  return "no op departs from fp32: on the same inputs, " + place_of(*furthest) +
         " is furthest off in the " + amp::pass_name(furthest->pass) + " pass, " +
         percent(furthest->deviation.relative_error()) + ", where " +
         rounding_of(watch.compared_format());
}

double mean_square(const amp::Deviation& deviation) {
  return deviation.compared == 0 ? 0
                                 : deviation.fp32_squares / static_cast<double>(deviation.compared);
}

// A gradient that is zero but for rounding, like that of the bias of an attention's keys, is not what a
// training follows.
bool is_negligible(const amp::Deviation& one, const amp::Deviation& all) {
  return mean_square(one) < 1e-6 * mean_square(all);
}

amp::Deviation sum_of(const std::vector<std::pair<std::string, amp::Deviation>>& gradients) {
  amp::Deviation all;
  for (const auto& [name, deviation] : gradients) all.add(deviation);
  return all;
}

std::string gradients_sentence(const Watch& watch) {
  const auto all = sum_of(watch.gradient_deviations());
  const std::pair<std::string, amp::Deviation>* furthest = nullptr;
  for (const auto& one : watch.gradient_deviations()) {
    if (one.second.compared == 0 || is_negligible(one.second, all)) continue;
    if (furthest == nullptr || one.second.relative_error() > furthest->second.relative_error())
      furthest = &one;
  }
  if (furthest == nullptr) return "no gradient of a parameter could be compared with fp32's";
  auto text = "the parameters' gradients are " + percent(all.relative_error()) +
              " off those of an fp32 pass with the same weights (cosine " +
              text_of("%.6g", all.cosine()) + "), " + furthest->first + "'s furthest, " +
              percent(furthest->second.relative_error());
  if (all.lost > 0)
    text += "; " + std::to_string(all.lost) + " of them were Inf or NaN, which fp32's are not";
  return text;
}

}  // namespace

json beside_fp32_json(const Watch& watch) {
  const auto format = watch.compared_format();
  json ops = json::array(), parameters = json::array(), first;
  for (const auto& op : watch.fp32_comparisons()) ops.push_back(op_json(op, format));
  const auto all = sum_of(watch.gradient_deviations());
  for (const auto& [name, deviation] : watch.gradient_deviations()) {
    auto row = deviation_json(deviation);
    row["name"] = name;
    row["negligible"] = is_negligible(deviation, all);
    parameters.push_back(std::move(row));
  }
  const auto& departure = watch.first_departure();
  if (departure.has_value()) {
    first = op_json(departure->op, format);
    first["step"] = departure->step;
  }
  json sentences = {departure.has_value() ? departure_sentence(watch) : agreement_sentence(watch),
                    gradients_sentence(watch)};
  if (!watch.end_to_end_sentence().empty()) sentences.push_back(watch.end_to_end_sentence());
  return {{"format", amp::format_name(format)},
          {"sentences", sentences},
          {"end_to_end", watch.end_to_end()},
          {"first_departure", first},
          {"layers", layers_json(watch.fp32_comparisons(), format)},
          {"ops", ops},
          {"parameters", parameters}};
}

}  // namespace ampersand
