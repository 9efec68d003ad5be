// What other scaler settings would have done on a training that is over.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "amp/export.h"
#include "amp/grad_scaler.h"

namespace amp {

// One step as it was.
struct ScalerTraceStep {
  double loss_scale = 1;   // positive and finite
  bool found_inf = false;  // the step overflowed at it
  // The largest |gradient|, unscaled, of any that had to fit into fp16; Inf or NaN: no scale helps.
  // Empty: not known.
  std::optional<double> gradient_amax = {};
};

struct ReplayOutcome {
  std::vector<double> scales = {};  // the loss scale of each step
  std::int64_t skipped = 0;
  std::int64_t uncertain = 0;  // steps of which the trace does not tell: taken for clean
  double final_scale = 0;      // after the last
  double mean_log2_scale = 0;
};

// Runs the scaler's own arithmetic over a trace. A step overflows at scale S if gradient_amax x S
// is beyond fp16's 65504. Without a gradient_amax it overflows if it was seen to overflow at a
// scale that is at most S. Takes milliseconds for 100,000 steps. Throws InvalidArgument for options
// that a GradScaler refuses and for a step whose numbers are out of range.
AMP_API ReplayOutcome replay(const std::vector<ScalerTraceStep>& trace,
                             const GradScalerOptions& options);

// Tries the powers of two from 1 to 2^24 as init_scale with five growth intervals from 100 to 4000.
// Returns the pair that skips the fewest steps; among equal ones the pair that leaves the fewest
// uncertain, and among these the one with the largest scales. Everything else is as in `options`.
// Throws what replay throws.
AMP_API GradScalerOptions suggest_scaler(const std::vector<ScalerTraceStep>& trace,
                                         GradScalerOptions options = {});

}  // namespace amp
