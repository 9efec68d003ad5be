// Two things that are easily mistaken for each other: multiplying the gradient by a constant, which
// is amp::scale_grad_, and scaling the loss, which is amp::GradScaler.
//
// The first is a smaller learning rate for plain SGD and protects nothing: a gradient that fp16 has
// flushed to zero stays zero, whatever it is multiplied by. The second enlarges the gradients
// *before* fp16 sees them, and the scaler divides them again, in fp32, before the optimizer does.
#include <amp/amp.h>
#include <torch/torch.h>

#include <cstdio>

namespace {

struct Data {
  torch::Tensor inputs = torch::randn({64, 10});
  torch::Tensor targets = inputs.sum(1, /*keepdim=*/true);
};

torch::nn::Linear fresh_model() {
  torch::manual_seed(1);
  return torch::nn::Linear(10, 1);
}

// Weights after 20 steps of plain SGD; each gradient is multiplied by `factor` before the step.
torch::Tensor train(const Data& data, double learning_rate, double factor) {
  auto model = fresh_model();
  torch::optim::SGD optimizer(model->parameters(), learning_rate);
  for (int step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    torch::mse_loss(model->forward(data.inputs), data.targets).backward();
    amp::scale_grad_(model->parameters(), factor);  // for p in ...: p.grad.mul_(factor)
    optimizer.step();
  }
  return model->weight.detach().clone();
}

// The gradient of a loss so small that its fp16 gradients fall below 2^-24, fp16's smallest number.
std::int64_t surviving_gradients(const Data& data, amp::GradScaler& scaler) {
  auto model = fresh_model();
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  torch::Tensor loss;
  {
    amp::Autocast autocast(torch::kCPU, torch::kHalf);
    loss = torch::mse_loss(model->forward(data.inputs), data.targets) * 1e-9;
  }
  scaler.scale(loss).backward();
  if (scaler.is_enabled()) scaler.unscale_(optimizer);
  return model->weight.grad().count_nonzero().item<std::int64_t>();
}

}  // namespace

int main() {
  torch::manual_seed(0);
  const Data data;

  const auto scaled_gradient = train(data, 0.1, 0.1);
  const auto small_rate = train(data, 0.01, 1.0);
  const bool same = torch::allclose(scaled_gradient, small_rate, 1e-4, 1e-6);
  std::printf("gradient times 0.1: %s as a learning rate times 0.1\n",
              same ? "the same" : "not the same");

  amp::GradScaler off({.enabled = false});
  std::printf("fp16 gradients of a small loss that survive: %ld of 10\n",
              long{surviving_gradients(data, off)});
  amp::GradScaler fixed({.init_scale = 65536});
  std::printf("the same with a loss scale of 65536 that survive: %ld of 10\n",
              long{surviving_gradients(data, fixed)});
}
