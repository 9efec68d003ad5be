// The optimizers of the program by name.
#pragma once

#include <torch/optim/optimizer.h>

#include <memory>
#include <vector>

#include "app/training/settings.h"

namespace ampersand {

// sgd, adam or adamw of torch::optim. Throws amp::InvalidArgument for another name.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const Settings& settings,
                                                        std::vector<at::Tensor> parameters);

}  // namespace ampersand
