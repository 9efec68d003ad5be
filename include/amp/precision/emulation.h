// Emulation: a format that this machine need not have, for the products of a training.
#pragma once

#include "amp/precision/format.h"

namespace amp {

// In an Autocast with an Emulation the ops that autocast casts to low precision compute in fp32, on
// operands rounded to a format: their inputs to `forward`, and the gradients of their results, before
// the backward pass multiplies with them, to `backward`. That is what a product of such operands,
// accumulated in fp32, is on hardware that has the format. What such an op returns, and every other
// op, is fp32. The gradient of a rounding is 1.
//
// fp8 tensors are scaled, each by its own amax (TensorScale's current scaling); tensors of one
// dimension, which are biases, are left in fp32, as Transformer Engine has it. The other formats are
// not scaled: gradients in fp16 want a GradScaler.
struct Emulation {
  Format forward = Format::e4m3;
  Format backward = Format::e5m2;
  bool operator==(const Emulation& other) const = default;
};

}  // namespace amp
