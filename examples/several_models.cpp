// Two models, two losses, two optimizers and one scaler: each optimizer is checked by itself, and
// update() comes once, after both.
#include <amp/amp.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <cstdio>
#include <limits>

#include "examples/toy.h"

int main() {
  torch::manual_seed(0);
  torch::nn::Linear model0(16, 1), model1(16, 1);
  torch::optim::SGD optimizer0(model0->parameters(), 0.005),
      optimizer1(model1->parameters(), 0.005);
  amp::GradScaler scaler;
  const auto teacher = torch::randn({16, 1});

  double first0 = 0, first1 = 0, last0 = 0, last1 = 0;
  for (int i = 0; i < 300; ++i) {
    const auto input = torch::randn({64, 16});
    const auto target = input.matmul(teacher);
    optimizer0.zero_grad();
    optimizer1.zero_grad();
    torch::Tensor loss0, loss1;
    {  // with torch.autocast("cpu", torch.float16):
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      const auto output0 = model0->forward(input);
      const auto output1 = model1->forward(input);
      loss0 = torch::mse_loss(2 * output0 + 3 * output1, target);
      loss1 = torch::mse_loss(3 * output0 - 5 * output1, target);
    }
    // The two losses share the graph of both models; retain_graph has nothing to do with AMP.
    scaler.scale(loss0).backward({}, /*retain_graph=*/true);
    scaler.scale(loss1).backward();

    // Only where gradients are looked at or clipped; step() unscales the other optimizer's itself.
    scaler.unscale_(optimizer0);
    torch::nn::utils::clip_grad_norm_(model0->parameters(), 20.0);

    // One bad gradient, to see who pays for it.
    if (i == 100) model1->weight.mutable_grad()[0][0] = std::numeric_limits<float>::infinity();
    const double scale = scaler.get_scale();
    const auto result0 = scaler.step(optimizer0);
    const auto result1 = scaler.step(optimizer1);
    scaler.update();
    if (i == 100) {
      std::printf("step 100: optimizer0 %s, optimizer1 %s, the one scale halved: %s\n",
                  result0.stepped() ? "stepped" : "skipped",
                  result1.stepped() ? "stepped" : "skipped",
                  toy::yes_or_no(scaler.get_scale() == scale / 2));
    }

    last0 = loss0.item<double>(), last1 = loss1.item<double>();
    if (i == 0) first0 = last0, first1 = last1;
  }
  std::printf("loss0 %.3f -> %.5f, loss1 %.3f -> %.5f, learned: %s\n", first0, last0, first1, last1,
              toy::yes_or_no(last0 < first0 / 100 && last1 < first1 / 100));
}
