// Testing the model along the way and at the end.
#include "app/training/evaluations.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/models/model_evaluator.h"
#include "app/task_choice/task_json.h"
#include "app/terminal/interrupt.h"

namespace ampersand {
namespace {

constexpr std::int64_t kEvaluationsPerEpoch = 2;

}  // namespace

bool Evaluations::is_due() const {
  if (!run_.plan.evaluates) return false;
  if (run_.settings.evaluate_every > 0) return run_.step % run_.settings.evaluate_every == 0;
  const auto per_epoch = run_.batches->batches();
  const auto every =
      std::max<std::int64_t>(1, (per_epoch + kEvaluationsPerEpoch - 1) / kEvaluationsPerEpoch);
  const auto in_epoch = (run_.step - 1) % per_epoch + 1;
  return in_epoch == per_epoch || in_epoch % every == 0;
}

void Evaluations::after_micro_batch() {
  if (is_due()) evaluate_unless_interrupted();
}

void Evaluations::complete() {
  if (run_.plan.evaluates && run_.step > evaluated_at_) evaluate_unless_interrupted();
}

// An evaluation that was interrupted says nothing.
void Evaluations::evaluate_unless_interrupted() {
  try {
    evaluate();
  } catch (const Interrupted&) {
    evaluated_at_ = run_.step;
  }
}

amp::Evaluation Evaluations::evaluation() {
  ModelEvaluator evaluator(*run_.model, run_.recipe);
  return run_.task.evaluate(evaluator, *run_.test_batches);
}

void Evaluations::evaluate() {
  auto event = evaluation_json(evaluation());
  evaluated_at_ = run_.step;
  event.update({{"event", "evaluation"}, {"step", run_.step}});
  if (run_.ema.has_value()) {
    const BorrowedWeights average(*run_.train_step, run_.ema->average());
    event.update(evaluation_json(evaluation(), "ema_"));
  }
  run_.send(event);
}

void Evaluations::show_samples() {
  try {
    ModelEvaluator evaluator(*run_.model, run_.recipe);
    for (const auto& text : run_.task.showpieces(evaluator, run_.plan.seed))
      run_.send({{"event", "sample"}, {"step", run_.step}, {"text", text}});
  } catch (const Interrupted&) {  // the training is over, and saved
  }
}

}  // namespace ampersand
