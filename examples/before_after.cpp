// A training loop before and after mixed precision: the same model, data and optimizer, trained by
// both. The comments at the right give the Python line where it differs.
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <cstdio>

#include "examples/toy.h"

namespace {

using torch::nn::functional::cross_entropy;
constexpr int kEpochs = 20;

double before(const toy::Data& data) {
  auto net = toy::make_model();
  torch::optim::SGD opt(net->parameters(), 0.1);

  for (int epoch = 0; epoch < kEpochs; ++epoch) {  // for epoch in range(epochs):
    for (const auto& [input, target] : data) {     //     for input, target in zip(data, targets):
      const auto output = net->forward(input);
      const auto loss = cross_entropy(output, target);
      loss.backward();
      opt.step();
      opt.zero_grad();
    }
  }
  return toy::evaluate(net, data);
}

double after(const toy::Data& data) {
  auto net = toy::make_model();
  torch::optim::SGD opt(net->parameters(), 0.1);
  amp::GradScaler scaler;  // scaler = torch.amp.GradScaler()

  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    for (const auto& [input, target] : data) {
      torch::Tensor loss;
      {  // with torch.autocast("cpu", torch.float16):
        amp::Autocast autocast(torch::kCPU, torch::kHalf);
        const auto output = net->forward(input);
        loss = cross_entropy(output, target);
      }
      scaler.scale(loss).backward();  // was loss.backward()
      scaler.step(opt);               // was opt.step()
      scaler.update();                // new
      opt.zero_grad();
    }
  }
  return toy::evaluate(net, data);
}

}  // namespace

int main() {
  const auto data = toy::make_data(20);
  auto untrained = toy::make_model();
  const double first = toy::evaluate(untrained, data);
  const double fp32 = before(data), fp16 = after(data);
  std::printf("loss %.4f untrained, %.4f after fp32 training, %.4f after fp16 training\n", first,
              fp32, fp16);
  std::printf("learned: %s, close: %s\n", toy::yes_or_no(fp32 < first / 4),
              toy::yes_or_no(std::abs(fp16 - fp32) < 0.02 * fp32));
}
