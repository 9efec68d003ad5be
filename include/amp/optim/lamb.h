// LAMB, for large batches: Adam's step, scaled for each tensor by the norm of its own weights.
#pragma once

#include <array>
#include <vector>

#include "amp/optim/fused_optimizer.h"
#include "amp/optim/memory.h"

namespace amp::optim {

struct LambOptions {
  double lr = 1e-3;                            // >= 0
  std::array<double, 2> betas = {0.9, 0.999};  // each in [0, 1)
  double eps = 1e-6;                           // >= 0
  double weight_decay = 1e-2;                  // >= 0: weight_decay * w is added to the update
  bool bias_correction = true;                 // divides m and v by 1 - beta^t
  bool maximize = false;                       // goes up the gradient
  bool use_nvlamb = true;  // false: without weight decay the ratio is 1, as in Apex by default
  MemoryOptions memory = {};
};

template <>
struct TorchOptionsOf<LambOptions> {
  using type = torch::optim::AdamWOptions;
};
extern template class AMP_API OptimizerOf<LambOptions>;

// m and v as Adam's; u = m' / (sqrt(v') + eps) + weight_decay w, where ' is the bias correction; w
// -= lr (|w| / |u|) u for each parameter tensor. Where |w| or |u| is 0 the ratio is 1; with
// use_nvlamb = false it is 1 in a group without weight decay, too. Nothing is clipped here: neither
// the ratio (the paper's phi is the identity), nor |w|, nor the gradient by its global norm, which
// max_grad_norm does.
// Source: You et al., Large batch optimization for deep learning: training BERT in 76 minutes
// (2020), algorithm 2; use_nvlamb: FusedLAMB of NVIDIA's Apex, where the default is false.
class AMP_API Lamb final : public OptimizerOf<LambOptions> {
 public:
  using OptimizerOf::OptimizerOf;
};

}  // namespace amp::optim
