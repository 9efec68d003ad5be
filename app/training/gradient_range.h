// Where the gradients of a micro-batch lie on the axis of exponents, before anything is rounded.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "amp/precision.h"
#include "app/models/model.h"

namespace ampersand {

struct GradientRange {
  amp::ExponentHistogram activations;  // what each backward function is handed
  amp::ExponentHistogram weights;      // of each parameter, as its optimizer would get them
};

// Runs `loss` and its backward pass in fp32, without autocast, and counts the gradients' exponents.
// Leaves no trace: parameters keep their gradients, buffers their values and LibTorch's generator its
// state. Costs an fp32 step and a pass over each gradient; waits for the device.
GradientRange gradient_range(Model& model, c10::Device device,
                             const std::function<at::Tensor()>& loss);

// For each of "activations" and "weights": how many gradients there are, the shares that are 0, that
// fp16 would lose without a loss scale (not 0, but below 2^-24, its smallest number) and with `scale`,
// and that would overflow with it (2^16 and more); and the histogram from its first exponent on.
nlohmann::json gradient_range_json(const GradientRange& range, double scale);

}  // namespace ampersand
