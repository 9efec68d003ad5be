// What came of an experiment, in words.
#include <algorithm>
#include <cmath>
#include <utility>

#include "src/doctor/case_file.h"
#include "src/inspect/words.h"

namespace amp::doctor {
namespace {

std::string first_two(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, names.size()); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > 2) text += " and " + std::to_string(names.size() - 2) + " more";
  return text;
}

}  // namespace

std::string words_of(const Outcome& outcome) {
  if (!outcome.played) return "could not be played";
  if (outcome.thrown.has_value()) return "threw: " + outcome.thrown->message;
  if (outcome.losses.empty()) return "no loss";
  const double loss = outcome.losses.back();
  if (!outcome.finite_loss) return std::string("the loss is ") + (std::isnan(loss) ? "NaN" : "Inf");
  if (!outcome.non_finite.empty() && outcome.losses.size() == 1)
    return "the gradient of " + first_two(outcome.non_finite) + " is not finite";
  if (!outcome.finite_weights) return "weights are not finite";
  std::string text = "loss " + inspect::shown(loss);
  if (outcome.losses.size() > 1)
    text = std::to_string(outcome.losses.size()) + " micro-batches, loss " +
           inspect::shown(outcome.losses.front()) + " to " +
           inspect::shown(late_mean(outcome.losses));
  if (outcome.skipped > 0) text += ", " + std::to_string(outcome.skipped) + " steps skipped";
  return text;
}

Outcome CaseFile::play(std::int64_t step, const Variation& variation) {
  auto outcome = experiment.play(step, variation);
  const auto& is_cancelled = options.experiment.is_cancelled;
  if (!outcome.played && is_cancelled && is_cancelled()) throw Cancelled();
  result.replays += static_cast<std::int64_t>(std::max<std::size_t>(1, outcome.losses.size()));
  return outcome;
}

Outcome CaseFile::try_out(const std::string& what, std::int64_t step, const Variation& variation,
                          const std::function<bool(const Outcome&)>& cures) {
  auto outcome = play(step, variation);
  if (outcome.played) result.trials.push_back({what, words_of(outcome), cures(outcome)});
  return outcome;
}

}  // namespace amp::doctor
