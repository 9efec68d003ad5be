// How autocast and the optimizers find out that a weight was changed behind them.
#pragma once

#include <cstdint>

#include "amp/export.h"

namespace amp {

// What is kept of a weight from one step to the next (the low-precision copy of an fp32 weight that an
// amp::optim optimizer steps, and the fp32 master of a bf16 or fp16 one) is good for as long as the
// weight stays what it was. A change by an op on the weight itself raises its version and is always
// seen; one through `.data()`, a stock optimizer or a raw pointer raises none.
enum class WeightChecks : std::uint8_t {
  // On the CPU the whole weight is compared with its copy, once in each outermost Autocast region,
  // scale_loss scope of Apex's kind and micro-batch of a TrainStep, when it is first used there; and
  // with its master once in each step. So every change is seen before the next forward pass or step,
  // whatever its size and way. Costs the time of reading 6 bytes a weight.
  whole,
  // The version, the memory, the shape and 32 elements of a weight are looked at, and a master's
  // version: a change of a few elements without a new version can be missed. Call
  // amp::invalidate(weight) after one.
  trusting,
};

// For the whole process, from any thread; holds from the next region or step on. By default `whole`.
// On CUDA looking at a weight would wait for the device: there the version, the memory and the shape
// are all that is looked at, under both, and what goes past them needs amp::invalidate(weight).
AMP_API void set_weight_checks(WeightChecks checks);
AMP_API WeightChecks weight_checks();

}  // namespace amp
