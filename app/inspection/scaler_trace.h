// What metrics.jsonl tells of a loss scaler.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "amp/inspect/replay.h"

namespace ampersand {

struct ScalerTrace {
  std::int64_t run = 0;
  std::string precision, loss_scaling;
  amp::GradScalerOptions options;           // as the run had them
  std::vector<std::int64_t> steps;          // micro-batches at whose end the optimizer would step
  std::vector<amp::ScalerTraceStep> trace;  // the same
  std::int64_t skipped = 0;
  double final_scale = 1;
};

// Of one run of these events; run < 0: of the first whose loss was scaled. Where a `gradients` event
// has measured a step, its largest gradient is known, up to a factor of 2. Throws amp::InvalidArgument
// where there is no such run, no step, or the loss was not scaled.
ScalerTrace scaler_trace(const std::vector<nlohmann::json>& events, std::int64_t run = -1);

}  // namespace ampersand
