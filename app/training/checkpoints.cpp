// Saving a training along the way and at its end.
#include "app/training/checkpoints.h"

#include <algorithm>
#include <exception>

#include "amp/checkpoint.h"
#include "app/terminal/interrupt.h"
#include "app/training/run_state.h"

namespace ampersand {

void Checkpoints::save_the_start() {
  if (run_.step == 0 && run_.settings.checkpoint_every > 0) save();
}

bool Checkpoints::is_due() const {
  const auto every = run_.settings.checkpoint_every;
  return every > 0 && run_.train_step->at_boundary() && run_.step / every > saved_at_ / every;
}

void Checkpoints::after_micro_batch() {
  if (is_due() || (run_.train_step->at_boundary() && checkpoint_asked())) save();
}

void Checkpoints::complete() {
  if (run_.step > saved_at_) save();
}

void Checkpoints::save_what_was_done() {
  if (run_.done <= std::max(run_.first, saved_at_) || !run_.train_step->at_boundary()) return;
  try {
    save();
  } catch (const std::exception&) {
    return;
  }
}

void Checkpoints::save() {
  if (run_.plan.checkpoints.empty()) return;
  amp::CheckpointExtras extras;
  extras.about = run_state_json(run_.settings, run_.plan, run_.task, run_.updates)
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (run_.ema.has_value()) extras.tensors["ema"] = run_.ema->average();
  amp::save_checkpoint(run_.plan.checkpoints, *run_.train_step, run_.step, extras);
  saved_at_ = run_.step;
}

}  // namespace ampersand
