// What was seen in a training, for pages.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "app/inspection/watch.h"

namespace ampersand {
namespace {

using nlohmann::json;

std::string shown_name(const amp::OpSummary& op) { return shown_op(op.called_as, op.op); }

// One curve of exponents, the sum of what was added.
struct Histogram {
  amp::TensorSummary sum;

  json as_json(const std::string& kind, const std::string& name) const {
    const auto& all = sum.exponents.counts;
    const auto is_there = [](std::int64_t count) { return count > 0; };
    const auto first = std::ranges::find_if(all, is_there);
    auto last = all.end();
    while (last != first && *(last - 1) == 0) --last;
    return {{"kind", kind},
            {"name", name},
            {"lowest", amp::ExponentHistogram::kLowest + (first - all.begin())},
            {"counts", std::vector<std::int64_t>(first, last)},
            {"zero", sum.exponents.zero},
            {"broken", sum.exponents.inf + sum.exponents.nan},
            {"amax", sum.statistics.amax}};
  }
};

// By kind, then by name in the order of first appearance; "" is the sum of the kind.
class Histograms {
 public:
  void add(const std::string& kind, const std::string& name, const amp::TensorSummary& summary) {
    of(kind, "").sum.add(summary);
    of(kind, name).sum.add(summary);
  }
  json as_json() const {
    json list = json::array();
    for (const auto& [key, histogram] : entries_)
      list.push_back(histogram.as_json(key.first, key.second));
    return list;
  }

 private:
  using Key = std::pair<std::string, std::string>;
  Histogram& of(const std::string& kind, const std::string& name) {
    const Key key = {kind, name.empty() ? "all" : name};
    const auto [place, is_new] = places_.try_emplace(key, entries_.size());
    if (is_new) entries_.push_back({key, {}});
    return entries_[place->second].second;
  }
  std::map<Key, std::size_t> places_;
  std::vector<std::pair<Key, Histogram>> entries_;
};

json histograms_json(const Watch& watch) {
  Histograms histograms;
  for (const auto& op : watch.ops()) {
    const auto name = op.module.empty() ? shown_name(op) : op.module;
    histograms.add(op.pass == amp::Pass::forward ? "activations" : "gradients", name, op.output);
  }
  for (const auto& parameter : watch.parameters())
    histograms.add("weights", parameter.name, parameter.weight);
  return histograms.as_json();
}

json op_json(const amp::OpSummary& op, amp::Format format) {
  json row = {{"module", op.module},
              {"op", shown_name(op)},
              {"pass", amp::pass_name(op.pass)},
              {"dtype", op.dtype},
              {"calls", op.calls},
              {"input_amax", number_or_null(op.input_amax)},
              {"amax", number_or_null(op.output.statistics.amax)},
              {"broken", op.output.statistics.infs + op.output.statistics.nans}};
  for (const auto& rates : op.output.formats) {
    if (rates.format != format) continue;
    row["overflow"] = rates.overflow();
    row["underflow"] = rates.underflow();
  }
  return row;
}

}  // namespace

json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(); }

std::string shown_op(const std::string& called_as, const std::string& op) {
  const std::string kEngine = "autograd::engine::evaluate_function: ";
  const auto& name = called_as.empty() ? op : called_as;
  return name.starts_with(kEngine) ? name.substr(kEngine.size()) : name;
}

json watched_run_json(const Precision& precision, std::uint64_t seed, const json& inspection,
                      bool went_wrong) {
  json history = json::array();
  const auto& steps = inspection.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i)
    history.push_back({{"step", steps[i]},
                       {"train_loss", inspection.at("loss")[i]},
                       {"scale", inspection.at("scale")[i]}});
  return {{"precision", precision.name},
          {"seed", seed},
          {"loss_scaling", loss_scaling_name(precision.recipe.loss_scaling)},
          {"diverged", went_wrong},
          {"skipped_at", inspection.at("skipped")},
          {"history", history}};
}

void mark_cause(json& inspection, const amp::Diagnosis& diagnosis) {
  if (diagnosis.op.empty()) return;
  auto& ops = inspection.at("ops");
  std::vector<json> list(ops.begin(), ops.end());
  const auto is_cause = [&](const json& op) {
    return op.at("op") == diagnosis.op && op.at("module") == diagnosis.module &&
           op.at("pass") == amp::pass_name(diagnosis.pass);
  };
  for (auto& op : list) {
    if (is_cause(op)) op["is_cause"] = true;
  }
  std::ranges::stable_partition(list, is_cause);
  ops = list;
}

json inspection_json(const Watch& watch) {
  json steps = json::array(), loss = json::array(), scale = json::array();
  json skipped = json::array(), ops = json::array();
  for (const auto& step : watch.evidence().steps) {
    steps.push_back(step.step);
    loss.push_back(step.loss.has_value() ? number_or_null(*step.loss) : json());
    scale.push_back(step.loss_scale);
    if (step.skipped) skipped.push_back(step.step);
  }
  for (const auto& op : watch.ops()) ops.push_back(op_json(op, watch.format()));
  return {{"steps", steps},
          {"loss", loss},
          {"scale", scale},
          {"skipped", skipped},
          {"format", amp::format_name(watch.format())},
          {"heat", watch.heat_map().as_json()},
          {"histograms", histograms_json(watch)},
          {"ops", ops}};
}

}  // namespace ampersand
