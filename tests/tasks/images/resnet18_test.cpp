// ResNet-18: its names, its size, and its logits against the same model in Python's PyTorch.
#include "tasks/images/resnet18.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/support/golden.h"

namespace ampersand::tests::resnet18_test {
namespace {

using amp::tests::Json;

std::int64_t parameters_of(const amp::ModelShape& shape) {
  std::int64_t count = 0;
  for (const auto& parameter : ResNet18(shape).parameters()) count += parameter.numel();
  return count;
}

std::map<std::string, at::Tensor> entries_of(const torch::nn::Module& model) {
  std::map<std::string, at::Tensor> entries;
  for (const auto& item : model.named_parameters()) entries[item.key()] = item.value();
  for (const auto& item : model.named_buffers()) entries[item.key()] = item.value();
  return entries;
}

// As noise() and fill() of tests/golden/make_resnet18.py.
at::Tensor noise(at::IntArrayRef shape, double k) {
  const auto large =
      at::arange(c10::multiply_integers(shape), c10::kDouble).add_(k).sin_().mul_(1e4);
  return (large - large.floor()).mul_(2).sub_(1).mul_(std::sqrt(3.0)).view(shape);
}

void fill(const torch::nn::Module& model) {
  c10::NoGradGuard no_grad;
  double k = 0;
  for (auto& [name, tensor] : entries_of(model)) {
    const auto values = noise(tensor.sizes(), k++);
    if (name.ends_with("num_batches_tracked")) continue;
    if (tensor.dim() > 1) {
      values.mul_(std::sqrt(2 / static_cast<double>(tensor[0].numel())));
    } else if (name.ends_with("weight") || name.ends_with("running_var")) {
      values.div_(4).add_(1);
    } else {
      values.div_(4);
    }
    tensor.copy_(values);
  }
}

// Within 1e-4 of the largest logit: small ones are differences of large sums.
void expect_near(const at::Tensor& logits, const Json& golden, const char* mode) {
  const auto expected = amp::tests::numbers(golden);
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  EXPECT_THAT(amp::tests::values(logits), amp::tests::AreWithin(1e-4 * largest, expected)) << mode;
}

class ResNet18Golden : public testing::TestWithParam<std::size_t> {};

// In both memory formats: the model must not depend on it.
TEST_P(ResNet18Golden, ComputesAsPythonDoes) {
  const auto golden = amp::tests::golden("resnet18.json")["cases"][GetParam()];
  const std::int64_t channels = golden["channels"], side = golden["side"], batch = golden["batch"];
  const amp::ModelShape shape{channels, side, side, golden["classes"]};
  for (const auto format : {c10::MemoryFormat::Contiguous, c10::MemoryFormat::ChannelsLast}) {
    c10::NoGradGuard no_grad;
    ResNet18 model(shape);
    fill(model);
    const auto images =
        noise({batch, channels, side, side}, 0.5).to(c10::kFloat).contiguous(format);
    expect_near(model.forward(images), golden["train_logits"], "train");
    model.eval();
    expect_near(model.forward(images), golden["eval_logits"], "eval");
  }
}

TEST_P(ResNet18Golden, HasPythonsNamesAndSize) {
  const auto golden = amp::tests::golden("resnet18.json")["cases"][GetParam()];
  const amp::ModelShape shape{golden["channels"], golden["side"], golden["side"],
                              golden["classes"]};
  EXPECT_EQ(parameters_of(shape), golden["parameters"].get<std::int64_t>());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : entries_of(ResNet18(shape))) names.push_back(name);
  EXPECT_EQ(names, golden["names"].get<std::vector<std::string>>());
}

INSTANTIATE_TEST_SUITE_P(Cases, ResNet18Golden, testing::Values(0U, 1U, 2U));

TEST(ResNet18, HasTheKnownNumberOfParameters) {
  EXPECT_EQ(parameters_of({.channels = 3, .height = 32, .width = 32, .classes = 10}), 11'173'962);
  EXPECT_EQ(parameters_of({.channels = 3, .height = 224, .width = 224, .classes = 1000}),
            11'689'512);
}

// The 3x3 stem up to 64 pixels on the longer side, the 7x7 one above.
TEST(ResNet18, TheStemIsOfTheImageSize) {
  const auto stem = [](std::int64_t height, std::int64_t width) {
    return entries_of(ResNet18({2, height, width, 10}))["conv1.weight"].sizes().vec();
  };
  const std::vector<std::int64_t> small = {64, 2, 3, 3}, large = {64, 2, 7, 7};
  EXPECT_EQ(stem(64, 64), small);
  EXPECT_EQ(stem(65, 64), large);
  EXPECT_EQ(stem(64, 65), large);
}

TEST(ResNet18, GivesLogitsForEveryImage) {
  const auto sizes = [](const amp::ModelShape& shape) {
    ResNet18 model(shape);
    const auto images = at::zeros({2, shape.channels, shape.height, shape.width});
    return model.forward(images).sizes().vec();
  };
  EXPECT_EQ(sizes({1, 28, 28, 10}), (std::vector<std::int64_t>{2, 10}));
  EXPECT_EQ(sizes({4, 65, 40, 7}), (std::vector<std::int64_t>{2, 7}));
}

// kaiming_normal_ with fan_out and ReLU: variance 2 / (out channels x kernel area). The largest
// convolution has 2,359,296 weights, so that its deviation is known to 0.05 %.
TEST(ResNet18, FirstWeightsAreHes) {
  const auto entries = entries_of(ResNet18({}));
  const auto& conv = entries.at("layer4.1.conv2.weight");
  EXPECT_NEAR(conv.std().item<double>() / std::sqrt(2.0 / (512 * 9)), 1, 3e-3);
  EXPECT_NEAR(conv.mean().item<double>(), 0, 1e-4);
  EXPECT_EQ(entries.at("layer4.1.bn2.weight").min().item<double>(), 1);
  EXPECT_EQ(entries.at("layer4.1.bn2.bias").abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace ampersand::tests::resnet18_test
