// The optimizers of the program by name.
#include "app/training/optimizers.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <utility>

#include "amp/error.h"

namespace ampersand {

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const Settings& s,
                                                        std::vector<at::Tensor> parameters) {
  using namespace torch::optim;
  if (s.optimizer == "sgd") {
    return std::make_unique<SGD>(
        std::move(parameters),
        SGDOptions(s.learning_rate).momentum(s.momentum).weight_decay(s.weight_decay));
  }
  if (s.optimizer == "adam") {
    return std::make_unique<Adam>(std::move(parameters),
                                  AdamOptions(s.learning_rate).weight_decay(s.weight_decay));
  }
  if (s.optimizer == "adamw") {
    return std::make_unique<AdamW>(std::move(parameters),
                                   AdamWOptions(s.learning_rate).weight_decay(s.weight_decay));
  }
  throw amp::InvalidArgument("--optimizer must be sgd, adam or adamw, got '" + s.optimizer + "'");
}

}  // namespace ampersand
