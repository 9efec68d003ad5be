// The scaler and autocast are separate things: either works without the other.
//
// A scaler alone changes nothing in fp32: a power of two comes out of the gradients exactly as it
// went in. Autocast alone is all that bf16 needs.
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

torch::nn::Sequential train(const toy::Data& data, bool with_scaler, bool with_autocast) {
  auto model = toy::make_model();
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::GradScaler scaler({.enabled = with_scaler});  // GradScaler(enabled=with_scaler)
  for (int epoch = 0; epoch < 20; ++epoch) {
    for (const auto& [input, target] : data) {
      optimizer.zero_grad();
      torch::Tensor loss;
      {  // with torch.autocast("cpu", torch.bfloat16, enabled=with_autocast):
        amp::Autocast autocast(torch::kCPU, torch::kBFloat16, {.enabled = with_autocast});
        loss = torch::nn::functional::cross_entropy(model->forward(input), target);
      }
      scaler.scale(loss).backward();
      scaler.step(optimizer);
      scaler.update();
    }
  }
  return model;
}

}  // namespace

int main() {
  const auto data = toy::make_data(20);
  auto untrained = toy::make_model();
  const double first = toy::evaluate(untrained, data);

  auto plain = train(data, false, false);
  auto scaled = train(data, true, false);
  std::printf("scaler without autocast: the weights of plain fp32 training, bit for bit: %s\n",
              toy::yes_or_no(toy::distance(*plain, *scaled) == 0));

  auto cast = train(data, false, true);
  const double last = toy::evaluate(cast, data);
  std::printf("autocast without scaler, bf16: loss %.3f -> %.3f, learned: %s\n", first, last,
              toy::yes_or_no(last < first / 4));
  std::printf("its weights are %s and differ from fp32 training's: %s\n",
              torch::toString(cast->parameters()[0].scalar_type()),
              toy::yes_or_no(toy::distance(*plain, *cast) > 0));
}
