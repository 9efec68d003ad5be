// How autocast and the optimizers find out that a weight was changed behind them.
#pragma once

#include <cstdint>

#include "amp/export.h"

namespace amp {

// Two things are kept of a weight from one step to the next: the low-precision copy of an fp32
// weight that an amp::optim optimizer steps, and the fp32 master of a bf16 or fp16 one. They are
// valid while the weight stays what it was. An op on the weight itself raises its version, so it is
// always seen. A change through `.data()`, a stock optimizer or a raw pointer raises none.
enum class WeightChecks : std::uint8_t {
  // On the CPU the whole weight is compared with its copy when it is first used in each outermost
  // Autocast region, each scale_loss scope of Apex's kind and each micro-batch of a TrainStep; and
  // with its master once in each step. So every change is seen before the next forward pass or
  // step, whatever its size and however it was made. Costs the time of reading 6 bytes a weight.
  whole,
  // Only the version, the memory, the shape and 32 elements of a weight are looked at, and a
  // master's version. A change of a few elements without a new version can be missed: call
  // amp::invalidate(weight) after one.
  trusting,
};

// Sets the checks of the whole process, from any thread; holds from the next region or step on. The
// default is `whole`. On CUDA, looking at a weight would wait for the device. So there only the
// version, the memory and the shape are looked at, under both settings, and a change that leaves
// them alone needs amp::invalidate(weight).
AMP_API void set_weight_checks(WeightChecks checks);
AMP_API WeightChecks weight_checks();

}  // namespace amp
