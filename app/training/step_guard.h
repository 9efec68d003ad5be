// Whose exception it is that ends a micro-batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <exception>
#include <utility>

#include "amp/error.h"
#include "app/models/model_error.h"

namespace ampersand {

// Follows a micro-batch from its forward pass, which makes ModelErrors itself, to its backward pass, which
// TrainStep runs, and in which the model's own code may throw, too.
class StepGuard {
 public:
  void note_loss(at::Tensor loss) {
    has_loss_ = true;
    if (loss.defined() && loss.requires_grad())
      loss.register_hook([this](const at::Tensor&) { in_backward_ = true; });
  }

  // Does the work; calls fail(exception) for what its backward pass throws, which is not to return. An
  // amp::Error is the model's only once its backward pass has begun, and not where gave_up() says that the
  // scaler ended the training after it.
  template <typename Work, typename GaveUp, typename Fail>
  auto run(Work&& work, GaveUp&& gave_up, Fail&& fail) -> decltype(work()) {
    has_loss_ = in_backward_ = false;
    try {
      return work();
    } catch (const ModelError&) {
      throw;
    } catch (const amp::Error&) {
      if (in_backward_ && !gave_up()) fail(std::current_exception());
      throw;
    } catch (...) {
      if (has_loss_) fail(std::current_exception());
      throw;
    }
  }

 private:
  bool has_loss_ = false, in_backward_ = false;
};

}  // namespace ampersand
