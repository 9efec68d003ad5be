// LAMB against the paper's algorithm written in double.
#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests {
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
    const double ratio = norm > 0 && length > 0 ? std::sqrt(norm / length) : 1;
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
        expect_as_reference({.lr = 0.01,
                             .weight_decay = weight_decay,
                             .bias_correction = bias_correction,
                             .maximize = maximize},
                            53);
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

}  // namespace
}  // namespace amp::tests
