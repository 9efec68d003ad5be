// Dividing an optimizer's gradients by the loss scale, and finding the ones that are not finite.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <optional>
#include <vector>

#include "src/grad_scaler/loss_scale.h"

namespace amp::scaling {

// Whether a gradient was or became Inf or NaN. It has a flag for each device that holds gradients
// (fp32, one element; zero: none was), and reads each from the device at most once.
class FoundInf {
 public:
  bool empty() const { return flags_.empty(); }  // nothing was checked
  void add(at::Tensor flag) { flags_.push_back(std::move(flag)); }
  bool known() const;  // any() would not wait
  bool any() const;    // whether a flag is other than zero; NaN counts. Waits for each device, once
  // One flag for all, on the first one's device. Does not wait. Must not be called on an empty one.
  at::Tensor combined() const;

 private:
  std::vector<at::Tensor> flags_;
  mutable std::optional<bool> any_;
};

// The gradients that were divided, in the order of their addresses. The references are weak: a
// gradient that was cleared or replaced since does not count.
using GradientList =
    std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>>;

struct Unscaled {
  FoundInf found_inf;  // empty: the optimizer has no gradient at all
  GradientList gradients;
  GradientList parameters;  // that had one, in the order of their addresses; of Pass::divide alone
  bool has_half = false;    // some are fp16: the step will put fp32 ones in their places
};

enum class Pass { divide, check_only };

// Multiplies every gradient by the inverse scale in place, or with `check_only` leaves them scaled,
// and looks for what is not finite. bf16 values are multiplied in fp32; the fp16 gradients of an
// optimizer with a fused step are replaced by fp32 ones. A gradient that the optimizer holds twice is
// divided once. Does not wait for the device. Throws InvalidArgument by name, before anything is
// changed, for the fp16 gradients of another, for those that are not fp32, bf16, fp16 or fp64, dense
// or sparse COO; and StateError for one that is in a list of `divided_before`.
Unscaled unscale_gradients(torch::optim::Optimizer& optimizer, const LossScale& scale,
                           const Rule& rule, Pass pass,
                           const std::vector<const GradientList*>& divided_before);

// Throws StateError by name for a gradient that is no part of `checked`, which Pass::divide made: of
// a parameter that had none then, and, if a loss was scaled since, of one whose gradient is another
// tensor now. Whether such a gradient is divided by the loss scale cannot be known.
void check_gradients_since(torch::optim::Optimizer& optimizer, const Unscaled& checked,
                           bool scaled_since);

// The device of the first parameter that has a gradient; nothing where none has.
std::optional<c10::Device> device_of_gradients(torch::optim::Optimizer& optimizer);

// The gradients that the optimizer has now.
GradientList gradient_list(torch::optim::Optimizer& optimizer);

// The parameters whose gradient is Inf or NaN. It takes a pass over the gradients, after a skip,
// which makes no other pass. Waits for the device once.
std::vector<at::Tensor> non_finite_parameters(torch::optim::Optimizer& optimizer);

}  // namespace amp::scaling
