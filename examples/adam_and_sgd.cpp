// Autocast and a scaler with Adam and with SGD: the loop does not know which optimizer it has.
#include <amp/amp.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

void train(const char* name, torch::nn::Sequential& model, torch::optim::Optimizer& optimizer,
           const toy::Data& data) {
  const double first = toy::evaluate(model, data);
  amp::GradScaler scaler;  // scaler = torch.amp.GradScaler()
  int skipped = 0;
  for (int epoch = 0; epoch < 20; ++epoch) {
    for (const auto& [input, target] : data) {
      optimizer.zero_grad();
      torch::Tensor loss;
      {  // with torch.autocast("cpu", torch.float16):
        amp::Autocast autocast(torch::kCPU, torch::kHalf);
        loss = torch::nn::functional::cross_entropy(model->forward(input), target);
      }
      scaler.scale(loss).backward();
      // Python's step() returns None both for a skip and for an optimizer that returns nothing.
      if (scaler.step(optimizer).skipped()) ++skipped;
      scaler.update();
    }
  }
  const double last = toy::evaluate(model, data);
  std::printf("%s: loss %.3f -> %.3f, %d steps skipped, learned: %s\n", name, first, last, skipped,
              toy::yes_or_no(last < first / 4));
}

}  // namespace

int main() {
  const auto data = toy::make_data(20);

  auto first = toy::make_model();  // optim.Adam(model.parameters(), lr=1e-3)
  torch::optim::Adam adam(first->parameters(), torch::optim::AdamOptions(1e-3));
  train("Adam", first, adam, data);

  auto second = toy::make_model();  // optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
  torch::optim::SGD sgd(second->parameters(), torch::optim::SGDOptions(0.02).momentum(0.9));
  train("SGD", second, sgd, data);
}
