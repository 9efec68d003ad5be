// Emulation: a format that this machine need not have, for the products of a training.
#pragma once

#include "amp/precision/format.h"

namespace amp {

// In an Autocast with an Emulation, the ops that autocast casts to low precision compute in fp32 on
// rounded operands. Their inputs are rounded to `forward`; the gradients of their results are
// rounded to `backward` before the backward pass multiplies with them. Hardware that has the format
// computes the same product, accumulated in fp32. What such an op returns, and every other op, is
// fp32. The gradient of a rounding is 1.
//
// Each fp8 tensor is scaled by its own amax (TensorScale's current scaling). Tensors of one
// dimension, which are biases, stay in fp32, as in Transformer Engine. The other formats are not
// scaled: gradients in fp16 need a GradScaler.
struct Emulation {
  Format forward = Format::e4m3;
  Format backward = Format::e5m2;
  bool operator==(const Emulation& other) const = default;
};

}  // namespace amp
