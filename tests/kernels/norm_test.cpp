// norm_sums: what a layer norm's weight and bias get as gradients.
#include <random>

#include "tests/kernels/numbers.h"

namespace amp::tests::norm_test {
namespace {

// Not inlined: GCC 12 would warn of a memset that there is not.
[[gnu::noinline]] Numbers made(Format format, std::size_t size) { return Numbers(format, size); }

struct Rows {
  Rows(Format format, std::size_t rows, std::size_t width)
      : gradient(made(format, rows * width)),
        input(made(format, rows * width)),
        mean(rows),
        rstd(rows) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + width));
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < rows * width; ++i) {
      gradient.set(i, 1e-3 * normal(random) + 1e-4);
      input.set(i, normal(random) + 0.5);
    }
    for (std::size_t i = 0; i < rows; ++i) {
      mean[i] = static_cast<float>(normal(random));
      rstd[i] = static_cast<float>(1 + 0.1 * normal(random));
    }
  }
  void add(const Table& table, float* weight, float* bias) const {
    table.norm_sums(gradient.read_only(), input.read_only(), mean.data(), rstd.data(), mean.size(),
                    gradient.size() / mean.size(), weight, bias);
  }
  Numbers gradient, input;
  std::vector<float> mean, rstd;
};

class NormSums : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, NormSums, kTargetsAndReference, target_name);

TEST_P(NormSums, AreThoseOfEachColumn) {
  for (const auto format : kFormats) {
    for (const std::size_t width : {1U, 3U, 15U, 16U, 17U, 33U, 192U, 257U}) {
      for (const std::size_t rows : {1U, 2U, 64U}) {
        SCOPED_TRACE(testing::Message() << format_name(format) << " " << rows << " x " << width);
        const Rows all(format, rows, width);
        std::vector<float> weight(width, 0.25f), bias(width, -0.5f);
        all.add(kernels(), weight.data(), bias.data());
        for (std::size_t j = 0; j < width; ++j) {
          double of_weight = 0.25, of_bias = -0.5;
          for (std::size_t i = 0; i < rows; ++i) {
            const double g = all.gradient[i * width + j];
            of_weight += g * (all.input[i * width + j] - double{all.mean[i]}) * double{all.rstd[i]};
            of_bias += g;
          }
          EXPECT_NEAR(weight[j], of_weight, 1e-6);
          EXPECT_NEAR(bias[j], of_bias, 1e-6);
        }
      }
    }
  }
}

TEST_P(NormSums, EitherMayBeLeftOut) {
  const Rows all(Format::bf16, 5, 21);
  std::vector<float> weight(21), bias(21), alone(21);
  all.add(kernels(), weight.data(), bias.data());
  all.add(kernels(), alone.data(), nullptr);
  EXPECT_EQ(alone, weight);
  alone = std::vector<float>(21);
  all.add(kernels(), nullptr, alone.data());
  EXPECT_EQ(alone, bias);
}

TEST_P(NormSums, AreTheSameBitsOnEveryTarget) {
  if (std::string(kernels().target) == "reference") return;  // which computes in double
  for (const auto format : kFormats) {
    const Rows all(format, 64, 100);
    std::vector<float> own(200), others(200);
    all.add(kernels(), own.data(), own.data() + 100);
    all.add(scalar(), others.data(), others.data() + 100);
    EXPECT_EQ(own, others) << format_name(format);
  }
}

}  // namespace
}  // namespace amp::tests::norm_test
