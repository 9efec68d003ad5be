// Adam and AdamW.
#pragma once

#include <array>
#include <vector>

#include "amp/optim/fused_optimizer.h"
#include "amp/optim/memory.h"

namespace amp::optim {

struct AdamOptions {
  double lr = 1e-3;                            // >= 0
  std::array<double, 2> betas = {0.9, 0.999};  // each in [0, 1)
  double eps = 1e-8;                           // >= 0
  double weight_decay = 0;                     // >= 0: weight_decay * w is added to the gradient
  bool amsgrad = false;                        // divides by the largest v so far
  bool maximize = false;                       // goes up the gradient
  MemoryOptions memory = {};
};

struct AdamWOptions {
  double lr = 1e-3;                            // >= 0
  std::array<double, 2> betas = {0.9, 0.999};  // each in [0, 1)
  double eps = 1e-8;                           // >= 0
  double weight_decay = 1e-2;                  // >= 0: w is multiplied by 1 - lr * weight_decay
  bool amsgrad = false;                        // divides by the largest v so far
  bool maximize = false;                       // goes up the gradient
  MemoryOptions memory = {};
};

template <>
struct TorchOptionsOf<AdamOptions> {
  using type = torch::optim::AdamOptions;
};
extern template class AMP_API OptimizerOf<AdamOptions>;

// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
// Source: torch.optim.Adam, PyTorch 2.11; Kingma and Ba, Adam (2015), algorithm 1; Reddi et al., On
// the convergence of Adam and beyond (2018), for amsgrad.
class AMP_API Adam final : public OptimizerOf<AdamOptions> {
 public:
  using OptimizerOf::OptimizerOf;
};

template <>
struct TorchOptionsOf<AdamWOptions> {
  using type = torch::optim::AdamWOptions;
};
extern template class AMP_API OptimizerOf<AdamWOptions>;

// Adam whose weight decay is no part of the gradient.
// Source: torch.optim.AdamW, PyTorch 2.11; Loshchilov and Hutter, Decoupled weight decay
// regularization (2019), algorithm 2.
class AMP_API AdamW final : public OptimizerOf<AdamWOptions> {
 public:
  using OptimizerOf::OptimizerOf;
};

}  // namespace amp::optim
