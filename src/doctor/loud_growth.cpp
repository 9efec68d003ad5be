// A training that grows until it overflows.
#include "src/doctor/loud_fault.h"

#include <algorithm>
#include <cmath>

#include "src/inspect/words.h"

namespace amp::doctor {

bool LoudFault::reference_diverges() const {
  const auto& reference = file_.reference;
  if (!reference.has_value() || reference->losses.empty()) return false;
  const double first = std::abs(reference->losses.front());
  return reference->failed || std::abs(late_mean(reference->losses)) > 100 * first;
}

bool LoudFault::is_finite_early(Variation variation) {
  if (first_step() == step_) return false;
  variation.batch = step_;
  return file_
      .try_out("the same micro-batch with the weights of step " + std::to_string(first_step()),
               first_step(), variation)
      .is_finite();
}

bool LoudFault::explain_growth() {
  auto& diagnosis = file_.result.diagnosis;
  if (began_with_a_sample()) return true;
  const auto steps = std::clamp<std::int64_t>(step_ - first_step() + 2, 5, 100);
  const auto before = file_.result.replays;
  const bool in_fp32 = file_.computes_in_fp32();
  const auto fp32 = in_fp32 ? Outcome()
                            : file_.try_out(std::to_string(steps) + " steps in fp32", first_step(),
                                            {.wide = c10::kFloat, .steps = steps});
  const auto slow =
      file_.try_out(std::to_string(steps) + " steps with a tenth of the learning rate",
                    first_step(), {.learning_rate = 0.1, .steps = steps});
  file_.result.replays = before + 2;
  if (!in_fp32 && fp32.is_finite() && !grows(fp32)) return false;
  if (in_fp32 || fp32.played) diagnosis.fp32_too = in_fp32 || !fp32.is_finite() || grows(fp32);
  if (reference_diverges()) {
    const auto& losses = file_.reference->losses;
    diagnosis.verdict = Verdict::divergence;
    diagnosis.fp32_too = true;
    diagnosis.sentence = "step " + std::to_string(step_) +
                         ": the training diverges: in fp32 the loss goes from " +
                         inspect::shown(losses.front()) + " to " +
                         (file_.reference->failed ? "Inf or NaN" : inspect::shown(losses.back()));
  } else if (diagnosis.verdict != Verdict::divergence) {
    diagnosis.verdict = Verdict::divergence;
    diagnosis.sentence = "step " + std::to_string(step_) +
                         ": the training diverges: the loss grew " + inspect::shown(growth().loss) +
                         "-fold and the largest weight " + inspect::shown(growth().weight) +
                         "-fold";
  }
  const double calm = calm_rate(file_, first_step());
  file_.result.remedies = {with_learning_rate(calm), with_learning_rate(calm / 10),
                           with_clipping(file_.recipe, 1)};
  if (const double loss = evidence_.loss.value_or(0); loss < -1e4)
    file_.result.notes.push_back(
        "the loss falls below every bound: is its sign right, and is it bounded from below?");
  if (slow.played && !slow.is_finite())
    file_.result.notes.push_back("a tenth of the learning rate does not help");
  if (diagnosis.fp32_too == true && !reference_diverges()) prefix("fp32 goes wrong, too; ");
  trial_step_ = first_step();
  return true;
}

bool LoudFault::explain_low_growth() {
  if (file_.computes_in_fp32()) return false;
  const auto fp32 = file_.play(first_step(), {.wide = c10::kFloat, .keep_gradients = true});
  if (!fp32.is_finite()) return false;
  file_.at = first_step();
  const bool is_rounding = explain_precision(file_, fp32);
  file_.at = -1;
  if (!is_rounding) return false;
  auto& diagnosis = file_.result.diagnosis;
  diagnosis.fp32_too = false;
  diagnosis.sentence += "; the training diverges by it, and does not in fp32";
  trial_step_ = first_step();
  return true;
}

bool LoudFault::began_with_a_sample() {
  for (auto place = focus_.place + 1; place-- > 0 && place + 3 > focus_.place;) {
    const auto& before = file_.evidence.steps[place];
    const auto outlier = file_.experiment.outlier(before.step);
    if (!outlier.has_value() || !jumps(place)) continue;
    blame_sample(file_, before.step, *outlier,
                 ", and the loss jumped to " + inspect::shown(before.loss.value_or(std::nan(""))));
    return true;
  }
  return false;
}

bool LoudFault::jumps(std::size_t place) const {
  const auto& steps = file_.evidence.steps;
  const double loss = std::abs(steps[place].loss.value_or(0));
  for (std::size_t i = 0; i < place; ++i) {
    if (!(loss > 10 * std::abs(steps[i].loss.value_or(0)))) return false;
  }
  return place > 0;
}

bool LoudFault::grows(const Outcome& outcome) {
  if (outcome.losses.size() < 2) return false;
  const double first = std::abs(outcome.losses.front());
  const auto jumps = [&](double loss) { return std::abs(loss) > 100 * first; };
  return std::abs(late_mean(outcome.losses)) > 10 * first ||
         std::ranges::any_of(outcome.losses, jumps);
}

}  // namespace amp::doctor
