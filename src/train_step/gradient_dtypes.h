// Gradients in the dtype in which the backward pass makes them.
#pragma once

#include <torch/optim/optimizer.h>

#include <vector>

namespace amp::train_step {

// Lets `.grad` of fp32 parameters take the dtype that comes, bf16 or fp16 under autocast, in the
// place of a cast to fp32, for as long as it lives. Nothing on a LibTorch without
// Tensor::set_grad_dtype, and for parameters that have a gradient already.
class GradientDtypes {
 public:
  GradientDtypes() = default;
  ~GradientDtypes();
  GradientDtypes(const GradientDtypes&) = delete;
  GradientDtypes& operator=(const GradientDtypes&) = delete;

  void release(torch::optim::Optimizer& optimizer);

 private:
  std::vector<at::Tensor> parameters_;
};

}  // namespace amp::train_step
