// Gradients in the dtype in which the backward pass makes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace amp::train_step {

// Lets one backward pass leave the gradient of an fp32 parameter in the dtype that comes, bf16 or
// fp16 under autocast, in the place of a cast to fp32. Nothing on a LibTorch without
// Tensor::set_grad_dtype.
class GradientDtypes {
 public:
  GradientDtypes() = default;
  ~GradientDtypes() { restore(); }
  GradientDtypes(const GradientDtypes&) = delete;
  GradientDtypes& operator=(const GradientDtypes&) = delete;

  // Nothing for a parameter that is not fp32, has a gradient already or a gradient dtype of the
  // user's, or is differentiated forwards.
  void release(const at::Tensor& parameter);

  // As it was. A gradient that is there is cast to fp32.
  void restore();

 private:
  std::vector<at::Tensor> released_;
};

}  // namespace amp::train_step
