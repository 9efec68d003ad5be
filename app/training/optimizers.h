// The optimizers of the program by name.
#pragma once

#include <torch/optim/optimizer.h>

#include <memory>
#include <vector>

#include "app/settings/settings.h"

namespace ampersand {

// sgd, adam, adamw or lamb of amp::optim. Throws amp::InvalidArgument for another name, and for
// rates that are out of range.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const Settings& settings,
                                                        std::vector<at::Tensor> parameters);

// Throws as make_optimizer does, before there is a model.
void check_optimizer(const Settings& settings);

}  // namespace ampersand
