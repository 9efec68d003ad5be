// One replay.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "amp/experiment.h"
#include "src/experiment/state.h"

namespace amp::experiment {

struct KeptBatch {
  std::int64_t step = 0;
  std::vector<at::Tensor> inputs;
  TrainStep::Loss loss;
};

// Plays `batches` from the first on, beginning at `state`.
Outcome played(const Subject& subject, const State& state,
               const std::vector<const KeptBatch*>& batches, const Variation& variation);

}  // namespace amp::experiment
