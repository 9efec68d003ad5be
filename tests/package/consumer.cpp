// The least a user of the package does: one step of GradScaler, and an error caught across the
// library's border.
#include <amp/amp.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdio>

int main() {
  torch::nn::Linear model(4, 1);
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::TrainStep train_step(*model, optimizer, amp::Recipe::fp16());
  const auto report = train_step([&] {
    return model->forward(torch::ones({2, 4})).to(torch::kFloat).mean() / 4;
  });
  bool caught = false;
  try {
    amp::GradScaler scaler({.growth_interval = 0});
  } catch (const amp::InvalidArgument&) {
    caught = true;
  }
  std::printf("ampersand %s: stepped %d, caught %d\n", amp::version(), report.stepped(), caught);
  return report.stepped() && caught ? 0 : 1;
}
