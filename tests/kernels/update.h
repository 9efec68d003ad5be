// A tensor in training for the tests of the updates: weights, gradient and moments in any formats.
#pragma once

#include <random>

#include "tests/kernels/numbers.h"

namespace amp::tests {

struct Formats {
  Format gradient = Format::fp32;
  WeightForm form = WeightForm::fp32;
  Format low = Format::bf16;
  Format moments = Format::fp32;
};

inline const std::vector<Formats> kAllFormats = [] {
  std::vector<Formats> all;
  for (const auto gradient : kFormats) {
    for (const auto moments : {Format::fp32, Format::bf16}) {
      all.push_back({gradient, WeightForm::split, Format::bf16, moments});
      for (const auto low : {Format::fp16, Format::bf16}) {
        for (const auto form :
             {WeightForm::fp32, WeightForm::nearest, WeightForm::stochastic, WeightForm::kahan}) {
          all.push_back({gradient, form, low, moments});
        }
      }
    }
  }
  return all;
}();

inline std::string describe(const Formats& f, std::size_t size) {
  static const char* forms[] = {"fp32", "nearest", "stochastic", "kahan", "split"};
  return std::string("gradient ") + format_name(f.gradient) + ", weights " +
         forms[static_cast<int>(f.form)] + " " + format_name(f.low) + ", moments " +
         format_name(f.moments) + ", size " + std::to_string(size);
}

struct Tensor {
  Tensor(const Formats& formats, std::size_t size, unsigned seed = 1)
      : form(formats.form),
        gradient(formats.gradient, size, 1),
        unscaled(formats.gradient, size, 2),
        fp32(Format::fp32, size, 3),
        low(formats.low, size, 1),
        extra(formats.low, size, 2),
        first(formats.moments, size, 3),
        second(formats.moments, size, 1),
        largest(formats.moments, size, 2) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < size; ++i) {
      set_weight(i, normal(random));
      gradient.set(i, normal(random));
      first.set(i, 0.1 * normal(random));
      second.set(i, 0.01 * std::pow(normal(random), 2));
      largest.set(i, 0.01 * std::pow(normal(random), 2));
    }
  }

  std::size_t size() const { return gradient.size(); }

  Weights weights() {
    return {form, form == WeightForm::fp32 ? fp32.fp32() : nullptr, low.codes(), extra.codes(),
            low.format()};
  }
  Gradient scaled(float inv_scale = 1, float clip = 1) {
    return {gradient.read_only(), inv_scale, clip, unscaled.span()};
  }
  Gradient as_it_is() { return {.scaled = gradient.read_only()}; }

  double weight(std::size_t i) const {
    if (form == WeightForm::fp32) return fp32[i];
    if (form == WeightForm::kahan) return low[i] + extra[i];
    if (form != WeightForm::split) return low[i];
    const auto rest = static_cast<std::int16_t>(extra.code(i));
    return double{std::bit_cast<float>((low.code(i) << 16) + static_cast<std::uint32_t>(rest))};
  }
  void set_weight(std::size_t i, double w) {
    fp32.set(i, w);
    low.set(i, w);
    if (form == WeightForm::kahan && std::isfinite(low[i])) extra.set(i, w - low[i]);
    if (form != WeightForm::split) return;
    const auto bits = fp32.code(i);
    low.set_code(i, (bits + 0x8000) >> 16 & 0xFFFF);
    extra.set_code(i, bits & 0xFFFF);
  }

  std::vector<const Numbers*> all() const {
    return {&gradient, &unscaled, &fp32, &low, &extra, &first, &second, &largest};
  }
  bool guards_intact() const {
    const auto numbers = all();
    return std::all_of(numbers.begin(), numbers.end(), [](auto n) { return n->guards_intact(); });
  }

  WeightForm form;
  Numbers gradient, unscaled, fp32, low, extra, first, second, largest;
};

// Two tensors that took the same steps: every array bit for bit, NaN for NaN.
inline void expect_identical(const Tensor& a, const Tensor& b, const std::string& what) {
  for (std::size_t n = 0; n < a.all().size(); ++n) {
    ASSERT_EQ(differences(*a.all()[n], *b.all()[n]), 0u) << "array " << n << ", " << what;
  }
}

// Of |reference| or of the numbers that were added to get it, which are about 1.
inline void expect_near(const Numbers& got, const Numbers& reference, double relative,
                        const std::string& what) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(reference[i]) || std::isinf(reference[i])) {
      ASSERT_TRUE(same(got, reference, i)) << what << ": " << got[i] << " at " << i;
    } else {
      ASSERT_NEAR(got[i], reference[i], 1e-6 + std::abs(reference[i]) * relative)
          << what << " at " << i;
    }
  }
}

// How far a weight of this form may be from the reference's: rounding at random meets the other
// neighbour where the fp32 number differs a little.
inline double tolerance(const Tensor& tensor) {
  switch (tensor.form) {
    case WeightForm::fp32:
    case WeightForm::split:
      return 4 * epsilon(Format::fp32);
    case WeightForm::kahan:
      return std::pow(epsilon(tensor.low.format()), 2);
    default:
      return epsilon(tensor.low.format());
  }
}

inline void expect_near(const Tensor& got, const Tensor& reference, const std::string& what) {
  EXPECT_EQ(differences(got.unscaled, reference.unscaled), 0u) << "unscaled, " << what;
  EXPECT_EQ(differences(got.gradient, reference.gradient), 0u) << "gradient, " << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double expected = reference.weight(i);
    if (!std::isfinite(expected)) {
      ASSERT_EQ(std::isnan(got.weight(i)), std::isnan(expected)) << what << " at " << i;
      ASSERT_TRUE(std::isnan(expected) || got.weight(i) == expected) << what << " at " << i;
    } else {
      ASSERT_NEAR(got.weight(i), expected, 1e-6 + std::abs(expected) * tolerance(reference))
          << what << " at " << i;
    }
  }
  const double moments = 4 * epsilon(got.first.format());
  expect_near(got.low, reference.low, epsilon(got.low.format()), "low, " + what);
  expect_near(got.first, reference.first, moments, "first, " + what);
  expect_near(got.second, reference.second, moments, "second, " + what);
  expect_near(got.largest, reference.largest, moments, "largest, " + what);
}

// Writes specials over the gradient, the weights and the moments, one at a time.
inline void add_specials(Tensor& tensor, double large) {
  std::size_t i = 0;
  for (const double special : {kInf, -kInf, kNaN, 0.0, -0.0, large, -large, 1e-40, -1e-45}) {
    if (i + 5 > tensor.size()) return;
    tensor.gradient.set(i++, special);
    tensor.set_weight(i++, special);
    tensor.first.set(i++, special);
    if (!(special < 0)) tensor.second.set(i, special);
    if (!(special < 0)) tensor.largest.set(i + 1, special);
    i += 2;
  }
}

}  // namespace amp::tests
