// A drawn training under an Inspector.
#include "tools/faults/examine.h"

#include <exception>

#include "amp/inspect.h"
#include "amp/train_step.h"
#include "tools/faults/optimizer.h"

namespace amp::faults {
namespace {

bool is_settled(const Inspector& inspector, bool dynamic) {
  const auto& steps = inspector.evidence().steps;
  if (steps.empty() || !steps.back().non_finite.has_value()) return false;
  const auto verdict = inspector.diagnosis().verdict;
  return verdict != Verdict::clean && !(verdict == Verdict::scale_overflow && dynamic);
}

}  // namespace

Examination examine(const Case& training) {
  const auto model = training.make();
  const auto optimizer = optimizer_of(training, *model);
  TrainStep train_step(*model, *optimizer, training.recipe);
  Inspector inspector(*model);
  inspector.add_names(train_step.weights());
  const bool dynamic = training.recipe.loss_scaling == LossScaling::dynamic;
  inspector.set_dynamic_scaling(dynamic);
  for (std::int64_t i = 0; i < training.steps; ++i) {
    const auto batch = model->batch(i);
    inspector.begin_step(i + 1, train_step.scaler().get_scale());
    try {
      inspector.end_step(train_step([&] { return model->loss(batch); }));
    } catch (...) {
      inspector.fail_step(std::current_exception());
      break;
    }
    if (is_settled(inspector, dynamic)) break;
  }
  return {.diagnosis = inspector.diagnosis()};
}

}  // namespace amp::faults
