// What a micro-batch's gradients are where nothing is rounded.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "app/models/model.h"

namespace ampersand {

// Runs `loss` and its backward pass in fp32, without autocast. Returns the gradient of each of
// model.parameters(), undefined for one that has none. Leaves no trace: parameters keep their gradients,
// buffers their values and LibTorch's generator its state.
std::vector<at::Tensor> fp32_gradients(Model& model, c10::Device device,
                                       const std::function<at::Tensor()>& loss);

}  // namespace ampersand
