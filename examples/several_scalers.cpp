// Two losses of very different magnitude, each with a scaler of its own: one backs off, the other
// keeps its scale. With one scaler for both, the large loss takes the scale away that the small one
// needs, whose gradients fp16 then flushes to zero.
#include <amp/amp.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

// A loss times `weight`, and a learning rate that makes up for it: without fp16 all would be equal.
struct Task {
  double weight;
  torch::nn::Linear model{16, 1};
  torch::optim::SGD optimizer{model->parameters(), 0.1 / weight};
  double last = 0;  // the loss without its weight

  torch::Tensor loss_of(const torch::Tensor& input, const torch::Tensor& target) {
    const auto loss = torch::mse_loss(model->forward(input), target);
    last = loss.item<double>();
    return weight * loss;
  }
};

void train(Task& large, Task& small, amp::GradScaler& of_large, amp::GradScaler& of_small) {
  torch::manual_seed(0);
  const auto teacher = torch::randn({16, 1});
  for (int i = 0; i < 200; ++i) {
    const auto input = torch::randn({64, 16});
    const auto target = input.matmul(teacher);
    torch::Tensor loss_large, loss_small;
    {
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      loss_large = large.loss_of(input, target);
      loss_small = small.loss_of(input, target);
    }
    large.optimizer.zero_grad();
    small.optimizer.zero_grad();
    of_large.scale(loss_large).backward();
    of_small.scale(loss_small).backward();
    of_large.step(large.optimizer);
    of_small.step(small.optimizer);
    of_large.update();  // each scaler's own, once an iteration
    if (&of_small != &of_large) of_small.update();
  }
}

constexpr double kLarge = 100, kSmall = 1e-8;

}  // namespace

int main() {
  {
    Task large{kLarge}, small{kSmall};
    amp::GradScaler of_large, of_small;
    train(large, small, of_large, of_small);
    std::printf("two scalers: the large loss has scale %g, the small one %g\n",
                of_large.get_scale(), of_small.get_scale());
    std::printf("losses without their weights: %.5f and %.5f, both learned: %s\n", large.last,
                small.last, toy::yes_or_no(large.last < 0.01 && small.last < 0.01));
  }
  {
    Task large{kLarge}, small{kSmall};
    amp::GradScaler scaler;
    train(large, small, scaler, scaler);
    std::printf("one scaler: both have scale %g\n", scaler.get_scale());
    std::printf("losses without their weights: %.5f and %.5f, the small one learned: %s\n",
                large.last, small.last, toy::yes_or_no(small.last < 0.01));
  }
}
