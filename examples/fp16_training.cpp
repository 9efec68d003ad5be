// A full fp16 training loop: autocast, loss scaling, clipping, and a scheduler that advances only
// when a step was taken.
#include <amp/amp.h>
#include <torch/torch.h>

#include <cstdio>

namespace {

constexpr int kSteps = 300;

torch::nn::Sequential make_model() {
  return torch::nn::Sequential(torch::nn::Linear(32, 128), torch::nn::ReLU(),
                               torch::nn::Linear(128, 4));
}

}  // namespace

int main() {
  torch::manual_seed(0);
  auto model = make_model();
  torch::optim::AdamW optimizer(model->parameters(), torch::optim::AdamWOptions(3e-3));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/100, /*gamma=*/0.5);
  // Far too large on purpose: the first steps overflow, and the scaler finds its way down.
  amp::GradScaler scaler({.init_scale = 0x1p30});

  const auto teacher = torch::randn({32, 4});
  int skipped = 0;
  double first = 0, last = 0;
  for (int step = 0; step < kSteps; ++step) {
    const auto inputs = torch::randn({64, 32});
    const auto labels = inputs.matmul(teacher).argmax(1);

    optimizer.zero_grad();
    torch::Tensor loss;
    {
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      loss = torch::nn::functional::cross_entropy(model->forward(inputs), labels);
    }
    scaler.scale(loss).backward();
    scaler.unscale_(optimizer);
    torch::nn::utils::clip_grad_norm_(model->parameters(), 1.0);
    const auto result = scaler.step(optimizer);
    scaler.update();

    if (result.stepped()) scheduler.step();
    if (result.skipped()) ++skipped;
    last = loss.item<double>();
    if (step == 0) first = last;
  }
  std::printf("skipped %d of %d steps; the loss scale settled at %g\n", skipped, kSteps,
              scaler.get_scale());
  std::printf("loss %.3f -> %.3f, learned: %s\n", first, last, last < first / 2 ? "yes" : "no");
}
