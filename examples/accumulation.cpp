// Gradient accumulation when the data do not fill the last group: ten batches in groups of four
// make groups of 4, 4 and 2. It is done by hand, with the group's size known from the beginning or
// only at its end, and by TrainStep with flush().
#include <amp/amp.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cstdio>

#include "examples/toy.h"

namespace {

using torch::nn::functional::cross_entropy;
constexpr std::size_t kWindow = 4;
constexpr int kEpochs = 40;

struct Trained {
  torch::nn::Sequential model = toy::make_model();
  torch::optim::SGD optimizer{model->parameters(), 0.2};
  int steps = 0;
};

Trained by_hand(const toy::Data& data) {
  Trained trained;
  amp::GradScaler scaler;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    for (std::size_t i = 0; i < data.size(); ++i) {  // for i, (input, target) in enumerate(data):
      // The last group is smaller: its mean is over what it has, not over kWindow.
      const auto begin = i / kWindow * kWindow;
      const auto in_window = std::min(kWindow, data.size() - begin);
      torch::Tensor loss;
      {
        amp::Autocast autocast(torch::kCPU, torch::kHalf);
        loss = cross_entropy(trained.model->forward(data[i].input), data[i].target);
        loss = loss / static_cast<double>(in_window);  // loss = loss / iters_to_accumulate
      }
      scaler.scale(loss).backward();  // adds to the scaled gradients: one scale a group
      // "(i + 1) % window == 0" alone would carry the last two batches into the next epoch.
      if ((i + 1) % kWindow == 0 || i + 1 == data.size()) {
        if (scaler.step(trained.optimizer).stepped()) ++trained.steps;
        scaler.update();
        trained.optimizer.zero_grad();
      }
    }
  }
  return trained;
}

// When nobody knows how many batches will come: sum, count, and divide the gradients at the end.
Trained by_counting(const toy::Data& data) {
  Trained trained;
  amp::GradScaler scaler;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    std::size_t in_window = 0;
    const auto end_window = [&] {
      amp::scale_grad_(trained.model->parameters(), 1.0 / static_cast<double>(in_window));
      if (scaler.step(trained.optimizer).stepped()) ++trained.steps;
      scaler.update();
      trained.optimizer.zero_grad();
      in_window = 0;
    };
    for (const auto& [input, target] : data) {
      torch::Tensor loss;
      {
        amp::Autocast autocast(torch::kCPU, torch::kHalf);
        loss = cross_entropy(trained.model->forward(input), target);
      }
      scaler.scale(loss).backward();
      if (++in_window == kWindow) end_window();
    }
    if (in_window > 0) end_window();
  }
  return trained;
}

Trained by_train_step(const toy::Data& data) {
  Trained trained;
  auto recipe = amp::Recipe::fp16();
  recipe.accumulation = kWindow;
  recipe.policy = amp::OpPolicy::torch(torch::kCPU);  // as the Autocast of the other two
  amp::TrainStep train_step(*trained.model, trained.optimizer, recipe);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    for (const auto& [input, target] : data) {
      const auto report = train_step(
          [&, &x = input, &y = target] { return cross_entropy(trained.model->forward(x), y); });
      if (report.stepped()) ++trained.steps;
    }
    if (train_step.flush().stepped()) ++trained.steps;
  }
  return trained;
}

}  // namespace

int main() {
  const auto data = toy::make_data(10);
  auto hand = by_hand(data);
  auto counted = by_counting(data);
  auto step = by_train_step(data);
  auto untrained = toy::make_model();
  const double first = toy::evaluate(untrained, data), last = toy::evaluate(hand.model, data);
  std::printf("steps of %d epochs: %d by hand, %d by counting, %d by TrainStep\n", kEpochs,
              hand.steps, counted.steps, step.steps);
  std::printf("largest difference of a weight, by hand and by TrainStep: %g\n",
              toy::distance(*hand.model, *step.model));
  std::printf("and by counting: %g\n", toy::distance(*counted.model, *step.model));
  std::printf("loss %.3f -> %.3f, learned: %s\n", first, last, toy::yes_or_no(last < first / 2));
}
