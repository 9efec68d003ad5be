// A drawn training under a Doctor, and with the remedies that it names.
#include "tools/faults/examine.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "amp/doctor.h"
#include "amp/train_step.h"
#include "tools/faults/optimizer.h"

namespace amp::faults {
namespace {

// A new training, followed to the letter. Well: what the second half gives is finite, and the loss at its
// end at most a tenth of the first one above fp32's.
struct Course {
  std::vector<double> losses;
  std::int64_t late_skips = 0;
  bool threw = false;

  double late_mean() const {
    const auto count = std::max<std::size_t>(1, losses.size() / 4);
    double sum = 0;
    for (std::size_t i = losses.size() - count; i < losses.size(); ++i) sum += losses[i];
    return sum / static_cast<double>(count);
  }
  bool is_well() const {
    return !threw && !losses.empty() && std::isfinite(late_mean()) &&
           4 * late_skips <= static_cast<std::int64_t>(losses.size()) / 2;
  }
};

Course trained(const Case& training, const Recipe& recipe, double rate) {
  const auto model = training.make();
  auto changed = training;
  changed.learning_rate *= rate;
  const auto optimizer = optimizer_of(changed, *model);
  TrainStep train_step(*model, *optimizer, recipe);
  Course course;
  for (std::int64_t i = 0; i < training.steps; ++i) {
    const auto batch = model->batch(i);
    try {
      const auto report = train_step([&] { return model->loss(batch); });
      course.losses.push_back(report.loss().item<double>());
      course.late_skips += 2 * i >= training.steps && report.skipped() ? 1 : 0;
    } catch (const std::exception&) {
      course.threw = true;
      break;
    }
  }
  return course;
}

bool cures(const Case& training, const Remedy& remedy) {
  const auto course =
      trained(training, remedy.recipe.value_or(training.recipe), remedy.learning_rate);
  if (!course.is_well()) return false;
  const auto fp32 = trained(training, Recipe::fp32(), 1);
  if (!fp32.is_well() || remedy.learning_rate != 1) return true;
  return course.late_mean() - fp32.late_mean() <= 0.1 * std::abs(fp32.losses.front()) + 1e-6;
}

}  // namespace

Examination examine(const Case& training, bool follow) {
  const auto model = training.make();
  const auto optimizer = optimizer_of(training, *model);
  TrainStep train_step(*model, *optimizer, training.recipe);
  DoctorOptions options;
  options.inspector.histograms = false;
  options.experiment.batches = training.steps + 1;
  Doctor doctor(*model, train_step, options);
  for (std::int64_t i = 0; i < training.steps && !doctor.is_settled(); ++i) {
    try {
      doctor.step(model->batch(i),
                  [&model](at::TensorList batch) { return model->loss(batch.vec()); });
    } catch (const std::exception&) {
      break;
    }
  }
  const auto& found = doctor.examination();
  Examination result = {.diagnosis = found.diagnosis,
                        .fp32_too = found.diagnosis.fp32_too,
                        .sample = found.diagnosis.sample};
  for (const auto& trial : found.trials) result.trials.push_back(trial.what + ": " + trial.outcome);
  for (const auto& note : found.notes) result.trials.push_back("note: " + note);
  result.replays = found.replays;
  if (!follow) return result;
  for (const auto& remedy : found.remedies) {
    const bool is_ours = remedy.recipe.has_value() || remedy.learning_rate != 1;
    if (is_ours && remedy.cures)
      result.remedies_followed.emplace_back(remedy.advice, cures(training, remedy));
  }
  return result;
}

}  // namespace amp::faults
