// Gradients in the dtype in which the backward pass makes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace amp::train_step {

// Lets one backward pass leave the gradient of an fp32 parameter in the dtype in which it comes,
// bf16 or fp16 under autocast, and not cast it to fp32. Does nothing on a LibTorch without
// Tensor::set_grad_dtype.
class GradientDtypes {
 public:
  GradientDtypes() = default;
  ~GradientDtypes() { restore(); }
  GradientDtypes(const GradientDtypes&) = delete;
  GradientDtypes& operator=(const GradientDtypes&) = delete;

  // Does nothing for a parameter that is not fp32, that has a gradient already or a gradient dtype
  // of the user's, or that has a forward-mode tangent.
  void release(const at::Tensor& parameter);

  // Puts everything back as it was, and casts a gradient that is there to fp32.
  void restore();

 private:
  std::vector<at::Tensor> released_;
};

}  // namespace amp::train_step
