// Clipping inside a TrainStep against torch::nn::utils::clip_grad_norm_, for gradients of every
// kind.
#include <gtest/gtest.h>
#include <torch/nn/utils/clip_grad.h>

#include "amp/train_step.h"
#include "tests/support/training.h"

namespace amp::tests::clipping_test {
namespace {

struct Model : torch::nn::Module {
  explicit Model(const std::vector<at::Tensor>& weights) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      register_parameter("weight" + std::to_string(i), weights[i]);
  }
};

using Loss = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& weights) {
  std::vector<at::Tensor> copied;
  for (const auto& weight : weights) copied.push_back(weight.detach().clone().requires_grad_());
  return copied;
}

// One step with either; the same norm and the same weights, bit for bit.
void expect_same_step(const std::vector<at::Tensor>& first, const Loss& loss, double max_norm) {
  const auto ours = copies(first);
  Model model(ours);
  auto optimizer = sgd(ours, 1.0);
  auto recipe = Recipe::fp32();
  recipe.max_grad_norm = max_norm;
  TrainStep train_step(model, optimizer, recipe);
  const auto report = train_step([&] { return loss(ours); });

  const auto theirs = copies(first);
  auto other = sgd(theirs, 1.0);
  loss(theirs).backward();
  const double norm = torch::nn::utils::clip_grad_norm_(theirs, max_norm);
  other.step();

  EXPECT_THAT((Values{*report.grad_norm()}), AreExactly(Values{norm}));
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_THAT(ours[i], IsIdenticalTo(theirs[i]));
}

at::Tensor sum_of_squares(const std::vector<at::Tensor>& weights) {
  auto sum = at::zeros({}, at::kDouble);
  for (const auto& weight : weights) sum = sum + weight.pow(2).sum().to(at::kDouble);
  return sum;
}

TEST(TrainStep, S8_9_ClipsAsTorchsClipGradNorm) {
  at::manual_seed(7);
  const std::vector<at::Tensor> weights = {at::randn({5, 7}), at::randn({33}), at::randn({})};
  for (const double max_norm : {1e-3, 0.1, 1.0, 10.0, 1e6}) {
    expect_same_step(weights, sum_of_squares, max_norm);
    expect_same_step({weights[1]}, sum_of_squares, max_norm);
  }
}

// fp32 squares of 1e30 overflow, its norm does not.
TEST(TrainStep, S8_9_ClipsAHugeSingleGradient) {
  expect_same_step(
      {tensor({1.0})}, [](const std::vector<at::Tensor>& w) { return (w[0] * 1e30).sum(); }, 1.0);
}

TEST(TrainStep, S8_9_ClipsDoublesInDouble) {
  at::manual_seed(8);
  const std::vector<at::Tensor> doubles = {at::randn({9}, at::kDouble),
                                           at::randn({4}, at::kDouble)};
  expect_same_step(doubles, sum_of_squares, 0.5);
  expect_same_step({doubles[0], at::randn({6})}, sum_of_squares, 0.5);
}

// The 3-4-5 triangle, with row 1 in two parts: 1 + 2 = 3.
TEST(TrainStep, S8_9_ClipsSparseGradientsByWhatTheyAddUpTo) {
  const auto table = at::zeros({4, 1}).to(test_device()).requires_grad_();
  Model model({table});
  auto optimizer = sgd({table}, 1.0);
  auto recipe = Recipe::fp32();
  recipe.max_grad_norm = 2.5;
  TrainStep train_step(model, optimizer, recipe);
  const auto report = train_step([&] {
    const auto rows =
        at::embedding(table, at::tensor({1, 1, 3}).to(test_device()), -1, false, /*sparse=*/true);
    return (rows.view(-1) * tensor({1.0, 2.0, 4.0})).sum();
  });
  EXPECT_EQ(report.grad_norm(), 5.0);
  EXPECT_THAT(values(table), AreWithin(1e-6, Values{0.0, -1.5, 0.0, -2.0}));
}

TEST(TrainStep, S8_9_WithoutAnyGradientTheNormIsZero) {
  const auto weight = parameter({1.0});
  const auto elsewhere = parameter({1.0});
  Model model({weight});
  auto optimizer = sgd({weight}, 1.0);
  auto recipe = Recipe::fp32();
  recipe.max_grad_norm = 1.0;
  TrainStep train_step(model, optimizer, recipe);
  EXPECT_EQ(train_step([&] { return elsewhere.sum(); }).grad_norm(), 0.0);
  EXPECT_THAT(values(weight), AreExactly(Values{1.0}));
}

}  // namespace
}  // namespace amp::tests::clipping_test
