// NVIDIA Apex's opt_level "O1" and what stands for its three lines: fp32 weights, casts by
// operation, a dynamic loss scale that begins at 65536.
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

using torch::nn::functional::cross_entropy;

void by_autocast_and_scaler(torch::nn::Sequential& model, const toy::Data& data) {
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::GradScaler scaler;  // model, optimizer = amp.initialize(model, optimizer, opt_level="O1")
  for (const auto& [input, target] : data) {
    optimizer.zero_grad();
    torch::Tensor loss;
    {  // O1 patches the functions of the torch module for good; a region ends.
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      loss = cross_entropy(model->forward(input), target);
    }
    scaler.scale(loss).backward();  // with amp.scale_loss(loss, optimizer) as scaled_loss:
                                    //     scaled_loss.backward()
    scaler.step(optimizer);         // optimizer.step(), which O1 patched to skip an overflow
    scaler.update();
  }
}

void by_train_step(torch::nn::Sequential& model, const toy::Data& data) {
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::TrainStep train_step(*model, optimizer, amp::Recipe::fp16());  // amp.initialize(...)
  for (const auto& [input, target] : data) {
    train_step([&, &x = input, &y = target] {  // amp.scale_loss, backward, step and zero_grad
      return cross_entropy(model->forward(x), y);
    });
  }
}

}  // namespace

int main() {
  const auto data = toy::make_data(300);
  auto first = toy::make_model(), second = toy::make_model();
  const double before = toy::evaluate(first, data);
  by_autocast_and_scaler(first, data);
  by_train_step(second, data);
  const double after = toy::evaluate(first, data);
  std::printf("weights are %s; loss %.3f -> %.3f, learned: %s\n",
              torch::toString(first->parameters()[0].scalar_type()), before, after,
              toy::yes_or_no(after < before / 4));
  std::printf("the same weights by both ways: %s\n",
              toy::yes_or_no(toy::distance(*first, *second) == 0));
}
