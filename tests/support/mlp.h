// The tiny classifier of tests/golden/make_training.py, its data and its first weights: integer
// patterns, exact in fp32; on the tests' device.
#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "amp/optim.h"
#include "tests/support/tensors.h"

namespace amp::tests {

// count values: ((i * stride) mod modulus, centred) * unit.
inline at::Tensor pattern(at::IntArrayRef shape, std::int64_t stride, std::int64_t modulus,
                          double unit) {
  const auto index = at::arange(c10::multiply_integers(shape), at::kLong);
  return (((index * stride).remainder(modulus) - modulus / 2).to(at::kFloat) * unit)
      .reshape(shape)
      .to(test_device());
}

class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl() {
    register_module("first", first);
    register_module("second", second);
    std::int64_t strides[] = {7, 3, 5, 1};
    const auto* stride = strides;
    for (auto& weight : parameters()) {
      weight.data().copy_(pattern(weight.sizes(), *stride++, 17, 1.0 / 16));
    }
    to(test_device());
  }
  at::Tensor forward(const at::Tensor& input) { return second(at::relu(first(input))); }

  torch::nn::Linear first{6, 8}, second{8, 3};
};
TORCH_MODULE(Mlp);

struct Batch {
  at::Tensor inputs, targets;
};

inline Batch batch(std::int64_t step) {
  const auto inputs = pattern({8, 6}, 13 + 2 * step, 32, 1.0 / 16);
  const auto column = [&](std::int64_t i) { return inputs.select(1, i); };
  const auto zeros = at::zeros({8}, inputs.options().dtype(at::kLong));
  const auto targets =
      at::where(column(0) < 0, zeros, at::where(column(1) < 0, zeros + 1, zeros + 2));
  return {inputs, targets};
}

inline at::Tensor loss_of(MlpImpl& model, const Batch& batch) {
  return at::cross_entropy_loss(model.forward(batch.inputs).to(at::kFloat), batch.targets);
}

// "sgd" and "adam" of torch::optim, "Adam" and "AdamW" of amp::optim.
inline std::unique_ptr<torch::optim::Optimizer> make_optimizer(const std::string& name,
                                                               std::vector<at::Tensor> weights) {
  if (name == "adam")
    return std::make_unique<torch::optim::Adam>(std::move(weights),
                                                torch::optim::AdamOptions(0.01));
  if (name == "Adam")
    return std::make_unique<optim::Adam>(std::move(weights), optim::AdamOptions{.lr = 0.01});
  if (name == "AdamW")
    return std::make_unique<optim::AdamW>(std::move(weights), optim::AdamWOptions{.lr = 0.01});
  return std::make_unique<torch::optim::SGD>(std::move(weights),
                                             torch::optim::SGDOptions(0.05).momentum(0.9));
}

// All weights in one list.
inline Values weights_of(const torch::nn::Module& model) {
  Values all;
  for (const auto& weight : model.parameters()) {
    for (const double value : values(weight)) all.push_back(value);
  }
  return all;
}

}  // namespace amp::tests
