// LAMB against the paper's algorithm written in double.
#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::lamb_test {
namespace {

struct Reference {
  optim::LambOptions options;
  Values w, m, v;
  int t = 0;

  void step(const Values& gradient) {
    ++t;
    const auto [beta1, beta2] = options.betas;
    Values u(w.size());
    double norm = 0, length = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double g = options.maximize ? -gradient[i] : gradient[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const double first = options.bias_correction ? m[i] / (1 - std::pow(beta1, t)) : m[i];
      const double second = options.bias_correction ? v[i] / (1 - std::pow(beta2, t)) : v[i];
      u[i] = first / (std::sqrt(second) + options.eps) + options.weight_decay * w[i];
      norm += w[i] * w[i];
      length += u[i] * u[i];
    }
    // Apex, csrc/multi_tensor_lamb.cu: a ratio where use_nvlamb || decay != 0.
    const bool adapts = options.use_nvlamb || options.weight_decay != 0;
    const double ratio = adapts && norm > 0 && length > 0 ? std::sqrt(norm / length) : 1;
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= options.lr * ratio * u[i];
  }
};

void expect_as_reference(const optim::LambOptions& options, std::int64_t count,
                         bool zeros = false) {
  auto weight = zeros ? at::zeros({count}, test_device()).requires_grad_() : trained({count});
  Reference reference{options, values(weight), Values(static_cast<std::size_t>(count)),
                      Values(static_cast<std::size_t>(count))};
  optim::Lamb optimizer({weight}, options);
  for (int step = 0; step < 100; ++step) {
    weight.mutable_grad() = gradient_of_step(step, {count});
    reference.step(values(weight.grad()));
    optimizer.step();
  }
  double largest = 0;
  for (const double value : reference.w) largest = std::max(largest, std::abs(value));
  EXPECT_THAT(values(weight), AreWithin(1e-5 * largest, reference.w));
}

TEST(Lamb, IsThePapersAlgorithm) {
  for (const bool bias_correction : {true, false}) {
    for (const double weight_decay : {0.0, 0.05}) {
      for (const bool maximize : {false, true}) {
        for (const bool use_nvlamb : {true, false}) {
          expect_as_reference({.lr = 0.01,
                               .weight_decay = weight_decay,
                               .bias_correction = bias_correction,
                               .maximize = maximize,
                               .use_nvlamb = use_nvlamb},
                              53);
        }
      }
    }
  }
}

// Norms are those of a tensor, not of one of its chunks.
TEST(Lamb, ATensorOfSeveralChunksHasOneTrustRatio) {
  expect_as_reference({.lr = 0.01, .betas = {0.8, 0.99}}, 150'000);
}

TEST(Lamb, WeightsOfZeroHaveATrustRatioOfOne) { expect_as_reference({.lr = 0.01}, 20, true); }

TEST(Lamb, AnUpdateOfZeroChangesNothing) {
  auto weight = trained({20});
  const auto before = weight.detach().clone();
  optim::Lamb optimizer({weight}, {.weight_decay = 0});
  weight.mutable_grad() = at::zeros_like(before);
  optimizer.step();
  EXPECT_TRUE(identical(weight, before));
}

// By hand: u = 1 / (1 + 1) = 0.5 for each of the four weights of 2, |w| = 4, |u| = 1.
TEST(Lamb, WithoutUseNvlambATensorWithoutDecayIsNotAdapted) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {  // kernels, ATen, masters
    for (const bool use_nvlamb : {true, false}) {
      auto weight = at::full({4}, 2.0, test_device()).to(dtype).requires_grad_();
      optim::Lamb optimizer({weight},
                            {.lr = 0.25, .eps = 1.0, .weight_decay = 0, .use_nvlamb = use_nvlamb});
      weight.mutable_grad() = at::ones_like(weight.detach());
      optimizer.step();
      EXPECT_THAT(values(weight), AreExactly(Values(4, use_nvlamb ? 1.5 : 1.875))) << dtype;
    }
  }
}

// Each group by its own: as Apex's recipes have biases and norms without decay.
TEST(Lamb, GroupsWithDecayAreAdaptedAllTheSame) {
  auto decayed = at::full({4}, 2.0, test_device()).requires_grad_();
  auto plain = at::full({4}, 2.0, test_device()).requires_grad_();
  optim::Lamb optimizer(
      {{.parameters = {decayed},
        .options = {.lr = 0.25, .eps = 1.0, .weight_decay = 0.25, .use_nvlamb = false}},
       {.parameters = {plain},
        .options = {.lr = 0.25, .eps = 1.0, .weight_decay = 0, .use_nvlamb = false}}});
  decayed.mutable_grad() = at::ones_like(decayed.detach());
  plain.mutable_grad() = at::ones_like(plain.detach());
  optimizer.step();
  EXPECT_THAT(values(decayed), AreExactly(Values(4, 1.5)));  // u = 1, the ratio is 2
  EXPECT_THAT(values(plain), AreExactly(Values(4, 1.875)));
}

}  // namespace
}  // namespace amp::tests::lamb_test
