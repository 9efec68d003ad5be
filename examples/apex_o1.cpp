// NVIDIA Apex's opt_level "O1": fp32 weights, casts by operation, a dynamic loss scale that begins
// at 65536. The same three lines of a plain loop change as in Python, and the weights come out as
// TrainStep's.
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

using torch::nn::functional::cross_entropy;

void plain(torch::nn::Sequential& model, const toy::Data& data) {
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  for (const auto& [input, target] : data) {
    optimizer.zero_grad();
    const auto loss = cross_entropy(model->forward(input), target);
    loss.backward();
    optimizer.step();
  }
}

// The three lines in Python, where amp is Apex's:
//   1  model, optimizer = amp.initialize(model, optimizer, opt_level="O1")
//   2  with amp.scale_loss(loss, optimizer) as scaled_loss: scaled_loss.backward()
//   3  optimizer.step(), which initialize has replaced by one that can skip
void by_apex(torch::nn::Sequential& model, const toy::Data& data) {
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  auto handle = amp::initialize(*model, optimizer, "O1");  // 1; autocast is on while it lives
  for (const auto& [input, target] : data) {
    optimizer.zero_grad();
    const auto loss = cross_entropy(model->forward(input), target);
    {
      auto scaled_loss = handle.scale_loss(loss, optimizer);  // 2
      scaled_loss->backward();
    }
    handle.step(optimizer);  // 3
  }
}

void by_train_step(torch::nn::Sequential& model, const toy::Data& data) {
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  amp::TrainStep train_step(*model, optimizer, amp::Recipe::O1());
  for (const auto& [input, target] : data) {
    train_step([&, &x = input, &y = target] { return cross_entropy(model->forward(x), y); });
  }
}

}  // namespace

int main() {
  const auto data = toy::make_data(300);
  auto fp32 = toy::make_model(), apex = toy::make_model(), step = toy::make_model();
  const double before = toy::evaluate(apex, data);
  plain(fp32, data);
  by_apex(apex, data);
  by_train_step(step, data);
  const double after = toy::evaluate(apex, data);
  std::printf("weights are %s; loss %.3f -> %.3f, learned: %s\n",
              torch::toString(apex->parameters()[0].scalar_type()), before, after,
              toy::yes_or_no(after < before / 4));
  std::printf("the plain loop, in fp32: loss %.3f\n", toy::evaluate(fp32, data));
  std::printf("the same weights by scale_loss and by TrainStep: %s\n",
              toy::yes_or_no(toy::distance(*apex, *step) == 0));
}
