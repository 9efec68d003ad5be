// A gradient penalty: the loss has the norm of its own gradients in it, so the first gradients are
// made by hand from the scaled loss, and divided by the scale by hand.
#include <amp/amp.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <cstdio>

#include "examples/toy.h"

namespace {

using torch::nn::functional::cross_entropy;
constexpr double kWeight = 0.1;

struct Trained {
  torch::nn::Sequential model = toy::make_model();
  double first_norm = 0, last_norm = 0;
};

Trained train(const toy::Data& data, bool amp) {
  Trained trained;
  auto& model = trained.model;
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::GradScaler scaler({.enabled = amp});
  for (const auto& [input, target] : data) {
    optimizer.zero_grad();
    torch::Tensor loss;
    {
      amp::Autocast autocast(torch::kCPU, torch::kHalf, {.enabled = amp});
      loss = cross_entropy(model->forward(input), target);
    }
    // Outside autocast, as any backward pass. The loss is scaled, so that the gradients survive
    // fp16, which they pass on the way; create_graph makes them differentiable.
    const auto scaled_gradients = torch::autograd::grad({scaler.scale(loss)}, model->parameters(),
                                                        /*grad_outputs=*/{}, /*retain_graph=*/true,
                                                        /*create_graph=*/true);
    // By hand: no optimizer owns these, so unscale_ cannot do it. Out of place: they are in the
    // graph. In fp32, as the parameters are.
    const double inv_scale = 1.0 / scaler.get_scale();
    torch::Tensor norm;
    {  // The penalty is part of the loss, so it is computed inside autocast again.
      amp::Autocast autocast(torch::kCPU, torch::kHalf, {.enabled = amp});
      torch::Tensor sum = torch::zeros({});
      for (const auto& gradient : scaled_gradients) sum = sum + (gradient * inv_scale).pow(2).sum();
      norm = sum.sqrt();
      loss = loss + kWeight * norm;
    }
    scaler.scale(loss).backward();  // from here on as always
    scaler.step(optimizer);
    scaler.update();
    trained.last_norm = norm.item<double>();
    if (trained.first_norm == 0) trained.first_norm = trained.last_norm;
  }
  return trained;
}

}  // namespace

int main() {
  const auto data = toy::make_data(300);
  auto untrained = toy::make_model();
  auto fp32 = train(data, false), fp16 = train(data, true);
  const double first = toy::evaluate(untrained, data);
  const double plain = toy::evaluate(fp32.model, data), last = toy::evaluate(fp16.model, data);
  std::printf("gradient norm at first %.4f in fp32, %.4f in fp16, close: %s\n", fp32.first_norm,
              fp16.first_norm,
              toy::yes_or_no(std::abs(fp16.first_norm / fp32.first_norm - 1) < 0.01));
  std::printf("gradient norm at last %.4f in fp32, %.4f in fp16\n", fp32.last_norm, fp16.last_norm);
  std::printf("loss %.3f -> %.3f in fp32, %.3f in fp16, learned: %s, close: %s\n", first, plain,
              last, toy::yes_or_no(last < first / 4),
              toy::yes_or_no(std::abs(last - plain) < 0.02 * plain));
}
