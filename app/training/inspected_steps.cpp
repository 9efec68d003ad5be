// The steps that a StepObserver looks at from inside.
#include "app/training/inspected_steps.h"

#include <utility>

#include "app/training/fp32_gradients.h"

namespace ampersand {

InspectedSteps::~InspectedSteps() {
  if (run_.plan.observer != nullptr) run_.plan.observer->end_training();
}

bool InspectedSteps::takes_step() const {
  return run_.plan.observer != nullptr && run_.plan.observer->watches(run_.step);
}

std::vector<at::Tensor> InspectedSteps::gradients_in_fp32(Passes& passes) {
  const auto wide = passes.wide_batch();
  auto gradients = passes.guarded([&] {
    return fp32_gradients(*run_.model, run_.device, [&] {
      return passes.loss_of(wide).div(static_cast<double>(run_.recipe.accumulation));
    });
  });
  run_.pace.start();  // that is no part of the training
  return gradients;
}

amp::StepReport InspectedSteps::step(Passes& passes) {
  auto& observer = *run_.plan.observer;
  std::vector<at::Tensor> gradients;
  if (observer.compares_gradients()) gradients = gradients_in_fp32(passes);
  observer.keep(passes.batch(), *run_.model);
  observer.begin_step(run_.step, run_.train_step->scaler().get_scale());
  const NoSearch no_search;
  try {
    if (!gradients.empty()) observer.expect(run_.model->parameters(), gradients);
    auto report = passes.step();
    seen_enough_ = !observer.end_step(report);
    return report;
  } catch (const ModelError& error) {
    auto seen = observer.fail_step(error.cause()).value_or(error.thrown());
    if (seen.op.empty()) seen = passes.sought(seen);  // the step was not recorded
    throw ModelError(run_.settings.model, std::move(seen), error.cause());
  } catch (...) {
    observer.fail_step(std::current_exception());
    throw;
  }
}

}  // namespace ampersand
