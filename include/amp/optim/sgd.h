// Stochastic gradient descent with momentum.
#pragma once

#include <vector>

#include "amp/optim/fused_optimizer.h"
#include "amp/optim/memory.h"

namespace amp::optim {

struct SGDOptions {
  double lr = 1e-3;         // >= 0
  double momentum = 0;      // >= 0
  double dampening = 0;     // finite
  double weight_decay = 0;  // >= 0: weight_decay * w is added to the gradient
  bool nesterov = false;    // needs momentum > 0 and no dampening
  bool maximize = false;    // goes up the gradient
  MemoryOptions memory = {};
};

template <>
struct TorchOptionsOf<SGDOptions> {
  using type = torch::optim::SGDOptions;
};
extern template class AMP_API OptimizerOf<SGDOptions>;

// g += weight_decay w;  b = momentum b + (1 - dampening) g, at first b = g;
// w -= lr b, with nesterov w -= lr (g + momentum b).
// Source: torch.optim.SGD, PyTorch 2.11; Sutskever et al., On the importance of initialization and
// momentum in deep learning (2013).
class AMP_API SGD final : public OptimizerOf<SGDOptions> {
 public:
  using OptimizerOf::OptimizerOf;
};

}  // namespace amp::optim
