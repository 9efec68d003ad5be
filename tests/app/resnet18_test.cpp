// ResNet-18: its parameters, and its logits against PyTorch's.
#include "app/models/resnet18.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/golden.h"

namespace ampersand::tests {
namespace {

std::int64_t parameter_count(const ResNet18& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  return count;
}

TEST(ResNet18, HasThePublishedNumberOfParameters) {
  EXPECT_EQ(parameter_count(ResNet18({3, 32, 32, 10})), 11'173'962);
  EXPECT_EQ(parameter_count(ResNet18({3, 224, 224, 1000})), 11'689'512);
}

TEST(ResNet18, SmallImagesKeepTheirSizeAtTheStem) {
  EXPECT_EQ(ResNet18({1, 64, 64, 2}).named_parameters()["conv1.weight"].sizes(),
            (std::vector<std::int64_t>{64, 1, 3, 3}));
  EXPECT_EQ(ResNet18({1, 65, 65, 2}).named_parameters()["conv1.weight"].sizes(),
            (std::vector<std::int64_t>{64, 1, 7, 7}));
}

TEST(ResNet18, BeginsAsTorchvisionsDoes) {
  const ResNet18 model({3, 32, 32, 10});
  const auto parameters = model.named_parameters();
  // Kaiming's normal distribution by fan out: variance 2 / (512 x 3 x 3).
  EXPECT_NEAR(parameters["layer4.1.conv2.weight"].std().item<double>(), std::sqrt(2.0 / 4608),
              2e-4);
  EXPECT_EQ(parameters["layer1.0.bn1.weight"].min().item<double>(), 1);
  EXPECT_EQ(parameters["layer1.0.bn1.bias"].abs().max().item<double>(), 0);
}

// As tests/golden/make_resnet18.py fills them.
void fill(ResNet18& model) {
  c10::NoGradGuard no_grad;
  for (auto& item : model.named_parameters()) {
    auto& parameter = item.value();
    auto wave = at::sin(at::arange(parameter.numel(), c10::kDouble));
    const double fan = parameter.dim() > 1 ? static_cast<double>(parameter[0].numel()) : 100;
    wave = (wave / std::sqrt(fan)).reshape(parameter.sizes());
    if (parameter.dim() == 1 && item.key().ends_with("weight")) wave = wave + 1;
    parameter.copy_(wave);
  }
}

TEST(ResNet18, GivesPyTorchsLogits) {
  for (const auto& expected : amp::tests::golden("resnet18.json")["cases"]) {
    const std::int64_t channels = expected["channels"], size = expected["size"];
    ResNet18 model({channels, size, size, expected["classes"]});
    std::vector<std::string> names;
    for (const auto& item : model.named_parameters()) names.push_back(item.key());
    EXPECT_EQ(names, expected["names"].get<std::vector<std::string>>());
    fill(model);
    const std::int64_t batch = expected["batch"];
    const auto images = at::sin(at::arange(batch * channels * size * size, c10::kDouble) / 10)
                            .to(c10::kFloat)
                            .reshape({batch, channels, size, size});
    c10::NoGradGuard no_grad;
    for (const bool training : {true, false}) {
      model.train(training);
      const auto logits = amp::tests::values(model.forward(images));
      EXPECT_THAT(logits,
                  amp::tests::AreWithin(
                      1e-3, amp::tests::numbers(expected[training ? "train" : "eval"]["logits"])))
          << "size " << size << ", training " << training;
    }
  }
}

}  // namespace
}  // namespace ampersand::tests
