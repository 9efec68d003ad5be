// Whose exception it is that ends a micro-batch.
#pragma once

#include <exception>
#include <utility>

#include "amp/error.h"
#include "app/models/model_error.h"

namespace ampersand {

// Follows a micro-batch from its forward pass, which makes ModelErrors itself, to its backward pass, which
// TrainStep runs, and in which the model's own code may throw, too. A hook would tell where it is, and
// would be seen by TrainStep, which then gives every gradient the dtype that a hook expects.
class StepGuard {
 public:
  void note_loss() { has_loss_ = true; }

  // Does the work; calls fail(exception) for what its backward pass throws, which is not to return. An
  // amp::Error after the loss may be TrainStep's own: is_models() tells whether the model throws without it.
  template <typename Work, typename IsModels, typename Fail>
  auto run(Work&& work, IsModels&& is_models, Fail&& fail) -> decltype(work()) {
    has_loss_ = false;
    try {
      return work();
    } catch (const ModelError&) {
      throw;
    } catch (const amp::Error&) {
      const auto error = std::current_exception();
      if (has_loss_ && is_models()) fail(error);
      throw;
    } catch (...) {
      if (has_loss_) fail(std::current_exception());
      throw;
    }
  }

 private:
  bool has_loss_ = false;
};

}  // namespace ampersand
