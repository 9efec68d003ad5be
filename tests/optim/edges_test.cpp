// At the ends of the formats, unscale_ and step decide what step alone decides, and what a stock
// optimizer's gradients decide.
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <random>

#include "amp/grad_scaler.h"
#include "amp/recipe.h"
#include "amp/train_step.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::edges_test {
namespace {

template <typename Optimizer>
struct Outcome {
  bool stepped;
  at::Tensor gradient, weight;

  Outcome(const at::Tensor& start, const at::Tensor& given, double scale, bool unscale_first) {
    weight = start.clone().requires_grad_();
    std::unique_ptr<torch::optim::Optimizer> optimizer;
    if constexpr (std::is_same_v<Optimizer, torch::optim::SGD>)
      optimizer = std::make_unique<Optimizer>(std::vector<at::Tensor>{weight},
                                              torch::optim::SGDOptions(0x1p-20));
    else
      optimizer = std::make_unique<Optimizer>(std::vector<at::Tensor>{weight}, 0x1p-20);
    GradScaler scaler({.init_scale = scale});
    scaler.scale(at::zeros({}, test_device()));
    weight.mutable_grad() = given.clone();
    if (unscale_first) scaler.unscale_(*optimizer);
    stepped = scaler.step(*optimizer).stepped();
    gradient = weight.grad();
  }
};

TEST(Edges, ABf16GradientThatUnscalingMakesInfSkipsOnBothWays) {
  const auto start = at::zeros({2}, at::TensorOptions(test_device()).dtype(at::kBFloat16));
  const auto given = at::full({2}, 0x1.fep126, start.options());
  for (const bool unscale_first : {true, false}) {
    const Outcome<optim::SGD> ours(start, given, 0.4985, unscale_first);
    EXPECT_FALSE(ours.stepped) << unscale_first;
    EXPECT_TRUE(identical(ours.weight, start)) << unscale_first;
  }
  const Outcome<torch::optim::SGD> stock(start, given, 0.4985, false);
  EXPECT_FALSE(stock.stepped);
  // 1.69e38 / 0.4985 = 3.400e38 is finite in fp32 and Inf in bf16; the bf16 number before, 1.688e38,
  // gives 3.386e38, which is finite in both.
  const auto less = at::full({2}, 0x1.fcp126, start.options());
  for (const bool unscale_first : {true, false})
    EXPECT_TRUE(Outcome<optim::SGD>(start, less, 0.4985, unscale_first).stepped);
}

// The value, and whether it is a finite one, of every kind that the dtype has.
double extreme(std::mt19937& dice, double largest, double smallest) {
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  const double sign = dice() % 2 == 0 ? 1 : -1;
  switch (dice() % 8) {
    case 0:
      return sign * largest;
    case 1:
      return sign * largest * unit(dice);
    case 2:
      return sign * largest * (1 - unit(dice) / 64);
    case 3:
      return sign * smallest;
    case 4:
      return sign * smallest * (1 + 64 * unit(dice));
    case 5:
      return sign * std::exp2(-60 + 120 * unit(dice));
    case 6:
      return 0;
    default:
      return dice() % 16 == 0 ? std::numeric_limits<double>::infinity() : sign;
  }
}

struct Limits {
  c10::ScalarType dtype;
  double largest, smallest;
};
constexpr Limits kFormats[] = {{c10::kFloat, 0x1.fffffep127, 0x1p-149},
                               {c10::kBFloat16, 0x1.fep127, 0x1p-133},
                               {c10::kHalf, 65504, 0x1p-24}};
constexpr double kScales[] = {0.4985,    0.5,      0.25 + 0x1p-26, 0.999999, 1.0,
                              1.0000001, 3.3,      65536,          0x1p24,   1e-3,
                              1e-20,     0x1p-126, 0x1.fffffep127, 1e30};

// What each is when it is divided in double and rounded where it is stored.
bool becomes_non_finite(const at::Tensor& given, double scale) {
  const auto stored = given.scalar_type() == c10::kHalf ? c10::kFloat : given.scalar_type();
  const auto inverse = static_cast<float>(1.0 / static_cast<double>(static_cast<float>(scale)));
  const auto product = (given.to(c10::kDouble) * static_cast<double>(inverse)).to(c10::kFloat);
  return !product.to(stored).isfinite().all().item<bool>();
}

TEST(Edges, BothWaysAgreeOnRandomExtremes) {
  std::mt19937 dice(17);
  int skipped = 0, by_unscaling = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto& format = kFormats[dice() % std::size(kFormats)];
    const double scale = kScales[dice() % std::size(kScales)];
    Values numbers;
    for (std::size_t count = 1 + dice() % 9; numbers.size() < count;)
      numbers.push_back(extreme(dice, format.largest, format.smallest));
    const auto given = tensor(numbers, format.dtype);
    const auto start = at::zeros_like(given);
    const Outcome<optim::SGD> first(start, given, scale, true), alone(start, given, scale, false);
    ASSERT_EQ(first.stepped, !becomes_non_finite(given, scale)) << given << scale;
    ASSERT_EQ(alone.stepped, first.stepped) << given << scale;
    ASSERT_TRUE(identical(alone.gradient, first.gradient)) << given << scale;
    if (!first.stepped) {
      ASSERT_TRUE(identical(alone.weight, start));
    }
    if (format.dtype == c10::kFloat) {
      ASSERT_TRUE(identical(alone.weight, first.weight));
    }
    if (format.dtype != c10::kHalf) {
      ASSERT_TRUE(alone.weight.isfinite().all().item<bool>());
      const Outcome<torch::optim::SGD> stock(start, given, scale, false);
      ASSERT_EQ(stock.stepped, first.stepped) << given << scale;
      ASSERT_TRUE(identical(stock.gradient, first.gradient)) << given << scale;
    }
    skipped += first.stepped ? 0 : 1;
    by_unscaling += !first.stepped && given.isfinite().all().item<bool>() ? 1 : 0;
  }
  EXPECT_GT(skipped, 300);
  EXPECT_GT(by_unscaling, 100);
}

// The squares of fp32 numbers from 1.8e19 on overflow in fp32, those of fp64 from 1.3e154 on.
TEST(Edges, LargeGradientsAreClippedAndNotZeroed) {
  for (const bool ours : {true, false}) {
    for (const double size : {1e18, 1e25, 3e38}) {
      auto weight = at::zeros({4}, test_device()).requires_grad_();
      std::unique_ptr<torch::optim::Optimizer> optimizer;
      if (ours)
        optimizer = std::make_unique<optim::SGD>(std::vector<at::Tensor>{weight}, 1.0);
      else
        optimizer = std::make_unique<torch::optim::SGD>(std::vector<at::Tensor>{weight},
                                                        torch::optim::SGDOptions(1.0));
      struct Model : torch::nn::Module {
      } model;
      model.register_parameter("weight", weight);
      auto recipe = Recipe::fp32();
      recipe.max_grad_norm = 2.0;
      TrainStep step(model, *optimizer, recipe);
      const auto report = step([&] { return (weight * size).sum(); });
      EXPECT_TRUE(report.stepped());
      EXPECT_THAT(values(weight), AreWithin(1e-5, Values(4, -1.0))) << ours << size;
    }
  }
}

TEST(Edges, AnFp64GradientWhoseSquareOverflowsIsFinite) {
  const auto start = at::zeros({2}, at::TensorOptions(test_device()).dtype(at::kDouble));
  const auto given = at::full({2}, 1e200, start.options());
  for (const bool unscale_first : {true, false}) {
    const Outcome<optim::SGD> ours(start, given, 65536, unscale_first);
    EXPECT_TRUE(ours.stepped) << unscale_first;
    EXPECT_EQ(ours.weight[0].item<double>(), -1e200 / 65536 * 0x1p-20);
  }
}

}  // namespace
}  // namespace amp::tests::edges_test
