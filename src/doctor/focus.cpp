// Which of the things that went wrong is the one to explain.
#include "src/doctor/focus.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace amp::doctor {
namespace {

using Origin = FirstNonFinite::Origin;

// Once a dynamic scale has found its place, a larger share of bad steps than this is a fault.
constexpr double kRare = 0.1;

bool is_data(const StepEvidence& step) {
  return step.non_finite.has_value() &&
         (step.non_finite->origin == Origin::data || step.non_finite->origin == Origin::target);
}

bool is_undefined(const StepEvidence& step) {
  const auto& fault = step.non_finite;
  return fault.has_value() && fault->origin == Origin::op && fault->evaluated &&
         !fault->finite_in_wide;
}

bool is_forward(const StepEvidence& step) {
  const auto& fault = step.non_finite;
  return fault.has_value() && fault->origin == Origin::op && fault->pass == Pass::forward &&
         !fault->is_loss_scaling && !is_undefined(step);
}

// Adds the first steps of at most two different ops.
template <typename Is>
void add(std::vector<Focus>& foci, const Evidence& evidence, Focus::Kind kind, Is is) {
  std::set<std::pair<std::string, std::string>> seen;
  for (std::size_t i = 0; i < evidence.steps.size() && seen.size() < 2; ++i) {
    const auto& step = evidence.steps[i];
    if (is(step) && seen.insert({step.non_finite->op, step.non_finite->module}).second)
      foci.push_back({kind, i});
  }
}

// The first step of the most frequent op among those that went wrong after the first good one.
Focus recurring(const Evidence& evidence) {
  const auto& steps = evidence.steps;
  const auto good = std::ranges::find_if(steps, [](const auto& s) { return !went_wrong(s); });
  std::map<std::pair<std::string, std::string>, std::pair<std::size_t, std::size_t>> ops;
  std::size_t count = 0;
  for (auto step = good; step != steps.end(); ++step) {
    if (!went_wrong(*step)) continue;
    ++count;
    const auto place = static_cast<std::size_t>(step - steps.begin());
    const auto fault = step->non_finite.value_or(FirstNonFinite());
    auto& entry = ops.try_emplace({fault.op, fault.module}, place, 0).first->second;
    ++entry.second;
  }
  if (count < 2 || static_cast<double>(count) <= kRare * static_cast<double>(steps.size()))
    return {};
  const auto most = std::ranges::max_element(
      ops, [](const auto& a, const auto& b) { return a.second.second < b.second.second; });
  return {Focus::Kind::recurring, most->second.first};
}

}  // namespace

bool went_wrong(const StepEvidence& step) {
  return step.non_finite.has_value() || step.skipped || step.thrown.has_value() ||
         (step.loss.has_value() && !std::isfinite(*step.loss));
}

std::size_t begin_of_last_streak(const Evidence& evidence) {
  auto begin = evidence.steps.size();
  while (begin > 0 && went_wrong(evidence.steps[begin - 1])) --begin;
  return begin;
}

std::vector<Focus> foci_of(const Evidence& evidence) {
  const auto& steps = evidence.steps;
  std::vector<Focus> foci;
  if (steps.empty()) return foci;
  if (steps.back().thrown.has_value()) foci.push_back({Focus::Kind::threw, steps.size() - 1});
  const auto begin = begin_of_last_streak(evidence);
  const auto length = steps.size() - begin;
  // One or two last steps that a dynamic scale skips are no streak.
  if (foci.empty() && length >= (evidence.dynamic_scaling ? 3U : 1U)) {
    // The step before tells why a weight was not finite.
    auto place = begin;
    while (place + 1 < steps.size() && !steps[place].non_finite.has_value()) ++place;
    foci.push_back(
        {Focus::Kind::lasting, steps[place].non_finite.has_value() ? place : begin, length});
  }
  add(foci, evidence, Focus::Kind::data, is_data);
  add(foci, evidence, Focus::Kind::undefined, is_undefined);
  add(foci, evidence, Focus::Kind::forward, is_forward);
  const auto unseen = std::ranges::find_if(steps, [](const StepEvidence& step) {
    return !step.recorded && step.loss.has_value() && !std::isfinite(*step.loss);
  });
  if (unseen != steps.end())
    foci.push_back({Focus::Kind::forward, static_cast<std::size_t>(unseen - steps.begin())});
  if (const auto often = recurring(evidence); often.kind != Focus::Kind::none)
    foci.push_back(often);
  return foci;
}

}  // namespace amp::doctor
