// Inference under autocast: no gradients, no scaler, and outputs in the low precision.
#include <amp/amp.h>

#include <cstdio>

#include "examples/toy.h"

namespace {

// The outputs differ from fp32's by a few roundings of the format, measured at their largest value.
void compare(torch::nn::Sequential& model, const torch::Tensor& input, torch::ScalarType dtype,
             double epsilon) {
  const torch::NoGradGuard no_grad;  // with torch.no_grad(), torch.autocast("cpu", dtype):
  const auto expected = model->forward(input);
  torch::Tensor output;
  {
    amp::Autocast autocast(torch::kCPU, dtype);
    output = model->forward(input);
  }
  const auto wide = output.to(torch::kFloat);  // before it is used as fp32: output.float()
  const double difference = (wide - expected).abs().max().item<double>();
  const double largest = expected.abs().max().item<double>();
  const auto same = wide.argmax(1).eq(expected.argmax(1)).sum().item<std::int64_t>();
  std::printf(
      "%s: %ld bytes a number, largest difference %.5f of %.2f, same class for %ld of %ld\n",
      torch::toString(output.scalar_type()), long(output.element_size()), difference, largest,
      long(same), long(input.size(0)));
  std::printf("  needs a gradient: %s, within two roundings: %s\n",
              toy::yes_or_no(output.requires_grad()),
              toy::yes_or_no(difference > 0 && difference < 2 * epsilon * largest));
}

}  // namespace

int main() {
  auto model = toy::make_model();
  model->eval();
  const auto input = toy::make_data(1, 1000).front().input;
  compare(model, input, torch::kBFloat16, 0x1p-7);
  compare(model, input, torch::kHalf, 0x1p-10);
}
