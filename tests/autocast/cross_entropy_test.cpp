// Cross entropy over low-precision logits: the values of fp32, without an fp32 copy.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "amp/autocast.h"
#include "tests/support/here.h"
#include "tests/support/live_bytes.h"
#include "tests/support/tensors.h"

namespace amp::tests::cross_entropy_test {
namespace {

struct Setting {
  bool weighted;
  double smoothing;
  std::int64_t reduction;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const bool weighted : {false, true}) {
    for (const double smoothing : {0.0, 0.1}) {
      for (const auto reduction : {at::Reduction::None, at::Reduction::Mean, at::Reduction::Sum})
        all.push_back({weighted, smoothing, reduction});
    }
  }
  return all;
}

constexpr std::int64_t kIgnored = -100;

struct Problem {
  Problem(std::int64_t rows, std::int64_t classes, c10::ScalarType dtype) {
    at::manual_seed(static_cast<std::uint64_t>(rows + classes));
    logits = (here::randn({rows, classes}) * 4).to(dtype);
    target = at::randint(classes, {rows}, at::kLong).to(test_device());
    target[rows / 2] = kIgnored;
    weight = here::linspace(0.5, 2, classes);
  }
  at::Tensor loss(const at::Tensor& x, const Setting& s) const {
    const auto w = s.weighted ? weight.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)
                              : at::Tensor();
    return at::cross_entropy_loss(x, target, w, s.reduction, kIgnored, s.smoothing);
  }
  at::Tensor logits, target, weight;
};

at::Tensor under_fast(const Problem& problem, const at::Tensor& x, const Setting& setting) {
  const Autocast autocast(kHere, x.scalar_type(), {.policy = OpPolicy::fast(kHere)});
  return problem.loss(x, setting);
}

double largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

// Against double precision. 300 x 2000 is more than one block.
TEST(CrossEntropy, LossAndGradientAreThoseOfFp32RoundedOnce) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const double half_ulp = dtype == at::kHalf ? std::ldexp(1, -11) : std::ldexp(1, -8);
    for (const auto& [rows, classes] : {std::pair{5, 7}, {300, 2000}}) {
      const Problem problem(rows, classes, dtype);
      for (const auto& s : settings()) {
        SCOPED_TRACE(std::string(c10::toString(dtype)) + " " + std::to_string(rows) + " weighted " +
                     std::to_string(s.weighted) + " smoothing " + std::to_string(s.smoothing) +
                     " reduction " + std::to_string(s.reduction));
        const auto x = problem.logits.detach().requires_grad_();
        const auto wide = problem.logits.to(at::kDouble).requires_grad_();
        const auto loss = under_fast(problem, x, s), want = problem.loss(wide, s);
        EXPECT_EQ(loss.scalar_type(), at::kFloat);
        ASSERT_EQ(loss.sizes(), want.sizes());
        EXPECT_LT(largest(loss - want), 1e-5 * largest(want));
        const auto upstream = here::linspace(1, 2, want.numel(), at::kDouble).reshape_as(want) * 16;
        loss.backward(upstream.to(at::kFloat));
        want.backward(upstream);
        EXPECT_EQ(x.grad().scalar_type(), dtype);
        const double subnormal = dtype == at::kHalf ? std::ldexp(1, -25) : 0;
        const auto off = (x.grad().to(at::kDouble) - wide.grad()).abs() -
                         wide.grad().abs() * half_ulp * 1.001 - subnormal;
        EXPECT_LT(off.max().item<double>(), 1e-6 * largest(wide.grad()));
      }
    }
  }
}

TEST(CrossEntropy, NothingOfTheLogitsSizeIsMadeInFp32) {
  if (!on_cpu()) GTEST_SKIP() << "a device's blocks are larger than these logits";
  const Problem problem(1024, 1024, at::kBFloat16);
  const auto x = problem.logits.detach().requires_grad_();
  const LiveBytes seen;
  under_fast(problem, x, {false, 0, at::Reduction::Mean}).backward();
  EXPECT_GE(seen.largest(), 1024 * 1024 * 2) << "the gradient";
  EXPECT_LT(seen.largest(), 1024 * 1024 * 3);
}

TEST(CrossEntropy, CanBeDifferentiatedTwice) {
  const Problem problem(5, 7, at::kBFloat16);
  for (const auto& s : settings()) {
    if (s.reduction == at::Reduction::None) continue;
    const auto second = [&](const at::Tensor& x, const at::Tensor& loss) {
      const auto first = torch::autograd::grad({loss}, {x}, {}, true, /*create_graph=*/true)[0];
      return torch::autograd::grad({first.to(at::kDouble).square().sum()}, {x})[0];
    };
    const auto x = problem.logits.detach().requires_grad_();
    const auto wide = problem.logits.to(at::kDouble).requires_grad_();
    const auto got = second(x, under_fast(problem, x, s));
    const auto want = second(wide, problem.loss(wide, s));
    EXPECT_LT(largest(got - want), 0.02 * largest(want));
    EXPECT_GT(largest(want), 1e-4);
  }
}

// What the blocks do not take goes to fp32 as torch has it.
TEST(CrossEntropy, OtherShapesAndTargetsGoToFp32) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::fast(kHere)});
  const auto images = here::linspace(-1, 1, 24).reshape({2, 3, 4}).to(at::kBFloat16);
  const auto classes = here::ones({2, 4}, at::kLong);
  EXPECT_TRUE(at::cross_entropy_loss(images, classes)
                  .equal(at::cross_entropy_loss(images.to(at::kFloat), classes)));
  const auto rows = images.reshape({8, 3});
  const auto shares = here::full({8, 3}, 1.0 / 3);
  EXPECT_TRUE(at::cross_entropy_loss(rows, shares)
                  .equal(at::cross_entropy_loss(rows.to(at::kFloat), shares)));
  const auto row = rows[0];
  EXPECT_TRUE(at::cross_entropy_loss(row, here::ones({}, at::kLong))
                  .equal(at::cross_entropy_loss(row.to(at::kFloat), here::ones({}, at::kLong))));
  EXPECT_TRUE(
      at::cross_entropy_loss(rows.slice(0, 0, 0), here::ones({0}, at::kLong)).isnan().item<bool>());
}

TEST(CrossEntropy, ATargetOutOfRangeIsAnError) {
  if (!on_cpu()) GTEST_SKIP() << "on CUDA it ends the process, as torch's does";
  const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::fast(kHere)});
  const auto logits = here::ones({2, 3}, at::kBFloat16);
  EXPECT_THROW(at::cross_entropy_loss(logits, here::full({2}, 3, at::kLong)), c10::Error);
  EXPECT_THROW(at::cross_entropy_loss(logits, here::full({2}, -1, at::kLong)), c10::Error);
}

TEST(CrossEntropy, EveryRowIgnoredGivesTorchsNan) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::fast(kHere)});
  const auto logits = here::ones({2, 3}, at::kBFloat16);
  const auto ignored = here::full({2}, kIgnored, at::kLong);
  EXPECT_TRUE(at::cross_entropy_loss(logits, ignored).isnan().item<bool>());
  const auto sum = at::cross_entropy_loss(logits, ignored, {}, at::Reduction::Sum);
  EXPECT_EQ(sum.item<double>(), 0.0);
}

}  // namespace
}  // namespace amp::tests::cross_entropy_test
