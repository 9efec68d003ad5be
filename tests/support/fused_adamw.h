// A small AdamW over LibTorch's fused kernel that takes the overflow flag as a tensor.
#pragma once

#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "amp/optim.h"

namespace amp::tests {

// All parameters on one device and of one dtype. One group.
class FusedAdamW : public torch::optim::Optimizer, public optim::ScaledStep {
 public:
  explicit FusedAdamW(std::vector<at::Tensor> parameters, torch::optim::AdamWOptions options = {},
                      bool takes_scaled = false)
      : Optimizer({torch::optim::OptimizerParamGroup(std::move(parameters))},
                  std::make_unique<torch::optim::AdamWOptions>(options)),
        options_(std::move(options)),
        takes_scaled_(takes_scaled) {
    for (const auto& parameter : param_groups()[0].params()) {
      first_.push_back(at::zeros_like(parameter));
      second_.push_back(at::zeros_like(parameter));
      steps_.push_back(at::zeros({}, parameter.options().dtype(c10::kFloat)));
    }
  }

  bool takes_scaled_gradients() const override { return takes_scaled_; }

  at::Tensor step(LossClosure closure = nullptr) override {
    const auto loss = closure ? closure() : at::Tensor();
    run({});
    return loss;
  }

  void scaled_step(const at::Tensor& inv_scale, const at::Tensor& found_inf) override {
    if (takes_scaled_) {
      auto found = at::zeros_like(found_inf);
      at::_amp_foreach_non_finite_check_and_unscale_(gradients(), found, inv_scale);
    }
    run(found_inf);
    ++scaled_steps;
  }

  const std::vector<at::Tensor>& steps() const { return steps_; }
  const std::vector<at::Tensor>& first_moments() const { return first_; }
  int scaled_steps = 0;  // calls of scaled_step

 private:
  std::vector<at::Tensor> gradients() {
    std::vector<at::Tensor> found;
    auto& parameters = param_groups()[0].params();
    found.reserve(parameters.size());
    for (const auto& parameter : parameters) found.push_back(parameter.grad());
    return found;
  }

  // As torch.optim.AdamW(fused=True): a step that found_inf forbids takes its count back.
  void run(const std::optional<at::Tensor>& found_inf) {
    c10::NoGradGuard no_grad;
    const auto [beta1, beta2] = options_.betas();
    at::_foreach_add_(steps_, 1);
    at::_fused_adamw_(param_groups()[0].params(), gradients(), first_, second_, {}, steps_,
                      options_.lr(), beta1, beta2, options_.weight_decay(), options_.eps(),
                      /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/{}, found_inf);
    if (found_inf.has_value())
      at::_foreach_sub_(steps_, std::vector<at::Tensor>(steps_.size(), *found_inf));
  }

  torch::optim::AdamWOptions options_;
  bool takes_scaled_;
  std::vector<at::Tensor> first_, second_, steps_;
};

}  // namespace amp::tests
