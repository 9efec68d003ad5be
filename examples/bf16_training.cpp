// bf16 needs no loss scaling: it has fp32's range. TrainStep does the whole step as one call.
#include <amp/amp.h>
#include <torch/torch.h>

#include <cstdio>

int main() {
  torch::manual_seed(0);
  torch::nn::Sequential model(torch::nn::Linear(32, 128), torch::nn::ReLU(),
                              torch::nn::Linear(128, 4));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));

  auto recipe = amp::Recipe::bf16();
  recipe.max_grad_norm = 1.0;
  recipe.accumulation = 2;
  amp::TrainStep train_step(*model, optimizer, recipe);

  const auto teacher = torch::randn({32, 4});
  double first = 0, last = 0;
  for (int step = 0; step < 400; ++step) {
    const auto inputs = torch::randn({64, 32});
    const auto labels = inputs.matmul(teacher).argmax(1);
    const auto report = train_step(
        [&] { return torch::nn::functional::cross_entropy(model->forward(inputs), labels); });
    last = report.loss().item<double>();
    if (step == 0) first = last;
  }
  std::printf("the parameters are %s: they are the master weights\n",
              torch::toString(model->parameters()[0].scalar_type()));
  std::printf("loss %.3f -> %.3f, learned: %s\n", first, last, last < first / 2 ? "yes" : "no");
}
