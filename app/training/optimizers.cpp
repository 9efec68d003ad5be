// The optimizers of the program by name.
#include "app/training/optimizers.h"

#include <ATen/ops/zeros.h>

#include <utility>

#include "amp/error.h"
#include "amp/optim.h"

namespace ampersand {

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const Settings& s,
                                                        std::vector<at::Tensor> parameters) {
  using namespace amp::optim;
  const double lr = s.learning_rate, decay = s.weight_decay;
  if (s.optimizer == "sgd") {
    const SGDOptions options{.lr = lr, .momentum = s.momentum, .weight_decay = decay};
    return std::make_unique<SGD>(std::move(parameters), options);
  }
  if (s.optimizer == "adam") {
    const AdamOptions options{.lr = lr, .weight_decay = decay};
    return std::make_unique<Adam>(std::move(parameters), options);
  }
  if (s.optimizer == "adamw") {
    const AdamWOptions options{.lr = lr, .weight_decay = decay};
    return std::make_unique<AdamW>(std::move(parameters), options);
  }
  if (s.optimizer == "lamb") {
    const LambOptions options{.lr = lr, .weight_decay = decay};
    return std::make_unique<Lamb>(std::move(parameters), options);
  }
  throw amp::InvalidArgument("--optimizer must be sgd, adam, adamw or lamb, got '" + s.optimizer +
                             "'");
}

void check_optimizer(const Settings& settings) { make_optimizer(settings, {at::zeros({1})}); }

}  // namespace ampersand
