// A GAN, two optimizers and one scaler: the discriminator's step comes between the generator's
// forward pass and its backward pass, and update() once, after both.
//
// The order matters. The generator's loss is computed from the discriminator, whose step changes
// its weights in place: that loss must come after the step. In fp32 autograd notices when it does
// not. Under autocast the graph holds fp16 copies of the weights: nothing notices, and the
// generator learns from a discriminator that is gone.
//
// update() may change the loss scale, and every gradient is divided by the one scale of the
// iteration: so it comes last. In the middle it would count the iteration twice, too.
#include <amp/amp.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

constexpr int kBatch = 64, kIterations = 2000;

torch::nn::Sequential two_layers(int inputs, int outputs) {
  return torch::nn::Sequential(torch::nn::Linear(inputs, 32), torch::nn::LeakyReLU(),
                               torch::nn::Linear(32, outputs));
}

// Points around (2, -1), for the generator to imitate.
torch::Tensor center() { return torch::tensor({2.0F, -1.0F}); }
torch::Tensor real_points() { return 0.5 * torch::randn({kBatch, 2}) + center(); }
torch::Tensor noise() { return torch::randn({kBatch, 4}); }

torch::Tensor loss_of(const torch::Tensor& logits, double target) {
  return torch::binary_cross_entropy_with_logits(logits, torch::full({kBatch, 1}, target));
}

struct Gan {
  torch::nn::Sequential generator = two_layers(4, 2), discriminator = two_layers(2, 1);
  torch::optim::Adam optimizer_g{generator->parameters(), options()};
  torch::optim::Adam optimizer_d{discriminator->parameters(), options()};

  static torch::optim::AdamOptions options() {
    return torch::optim::AdamOptions(1e-3).betas({0.5, 0.999});
  }
};

int train(Gan& gan, amp::GradScaler& scaler) {
  int both = 0;
  for (int i = 0; i < kIterations; ++i) {
    torch::Tensor fake, loss_d, loss_g;
    {
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      fake = gan.generator->forward(noise());
      loss_d = loss_of(gan.discriminator->forward(real_points()), 1) +
               loss_of(gan.discriminator->forward(fake.detach()), 0);
    }
    gan.optimizer_d.zero_grad();  // also of what the generator's backward pass left there
    scaler.scale(loss_d).backward();
    const auto result_d = scaler.step(gan.optimizer_d);

    {  // A region of its own, with the discriminator as it is now.
      amp::Autocast autocast(torch::kCPU, torch::kHalf);
      loss_g = loss_of(gan.discriminator->forward(fake), 1);
    }
    gan.optimizer_g.zero_grad();
    scaler.scale(loss_g).backward();
    const auto result_g = scaler.step(gan.optimizer_g);

    scaler.update();
    if (result_d.stepped() && result_g.stepped()) ++both;
  }
  return both;
}

// The wrong order: the generator's loss first, then the discriminator's step.
const char* wrong_order(bool autocast) {
  Gan gan;
  torch::Tensor loss_d, loss_g;
  {
    const amp::Autocast region(torch::kCPU, torch::kHalf, {.enabled = autocast});
    const auto fake = gan.generator->forward(noise());
    loss_d = loss_of(gan.discriminator->forward(fake.detach()), 0);
    loss_g = loss_of(gan.discriminator->forward(fake), 1);
  }
  loss_d.backward();
  gan.optimizer_d.step();
  try {
    loss_g.backward();
  } catch (const c10::Error&) {
    return "refused";
  }
  return "not noticed";
}

}  // namespace

int main() {
  torch::manual_seed(0);
  Gan gan;
  amp::GradScaler scaler;
  const int both = train(gan, scaler);
  const auto mean = gan.generator->forward(torch::randn({1000, 4})).mean(0).detach();
  std::printf("generated points around (%.1f, %.1f), as the real ones: %s\n",
              mean[0].item<double>(), mean[1].item<double>(),
              toy::yes_or_no(torch::allclose(mean, center(), 0, 0.5)));
  std::printf("both stepped in %d of %d iterations, one update each; the scale is %g\n", both,
              kIterations, scaler.get_scale());
  std::printf("the wrong order in fp32: %s; under autocast: %s\n", wrong_order(false),
              wrong_order(true));
}
