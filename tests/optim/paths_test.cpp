// The two paths of a step, orders of memory, dtypes of gradients, numbers of threads.
#include <ATen/Parallel.h>

#include "amp/error.h"
#include "src/optim/aten_path.h"
#include "tests/optim/optimizers.h"
#include "tests/support/here.h"

namespace amp::tests::paths_test {
namespace {

using optim::LowPrecisionWeights;

template <typename Kind>
class Paths : public testing::Test {
 protected:
  using Optimizer = typename Kind::Optimizer;
  using Options = typename Kind::Options;

  static Options options(optim::MemoryOptions memory = {}) { return full_options<Options>(memory); }

  // The weight after some steps; `make_gradient` gets the step.
  static at::Tensor train(at::Tensor weight, const Options& options,
                          const std::function<at::Tensor(int)>& make_gradient, int steps = 10) {
    Optimizer optimizer({weight}, options);
    for (int step = 0; step < steps; ++step) {
      weight.mutable_grad() = make_gradient(step);
      optimizer.step();
    }
    return optimizer.fp32_weight(weight);
  }
};
TYPED_TEST_SUITE(Paths, AllKinds);

void expect_near(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  const auto off = (a - b).abs().max().item<double>();
  EXPECT_LE(off, tolerance * b.abs().max().item<double>());
}

// 5 elements are one group of random numbers, 1,000 several.
TYPED_TEST(Paths, AgreeForEveryKindOfWeightAndMoment) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto weights :
         {LowPrecisionWeights::master, LowPrecisionWeights::split, LowPrecisionWeights::kahan,
          LowPrecisionWeights::stochastic, LowPrecisionWeights::nearest}) {
      if (dtype == at::kHalf && weights == LowPrecisionWeights::split) continue;
      for (const bool bf16_moments : {false, true}) {
        for (const std::int64_t count : {5, 1000}) {
          const auto options = this->options({weights, bf16_moments, 11});
          const auto gradient = [&](int step) { return gradient_of_step(step, {count}); };
          const auto usual = this->train(trained({count}, dtype), options, gradient, 3);
          for (const auto path : {optim::AtenPath::lists, optim::AtenPath::one_by_one}) {
            const optim::ForceAtenPath through_aten(path);
            const auto by_aten = this->train(trained({count}, dtype), options, gradient, 3);
            // One rounding that falls the other way is a step of the format.
            const bool exact = weights == LowPrecisionWeights::master && !bf16_moments;
            expect_near(usual, by_aten, exact ? 1e-6 : 0.01);
            const auto differing =
                (usual - by_aten).abs().gt(1e-5).to(at::kFloat).mean().template item<double>();
            EXPECT_LE(differing, 0.02) << dtype << static_cast<int>(weights) << bf16_moments;
          }
        }
      }
    }
  }
}

TYPED_TEST(Paths, GradientsOfOtherDtypesAreWidened) {
  const auto expected = this->train(trained({40}), this->options(),
                                    [](int step) { return gradient_of_step(step, {40}); });
  for (const auto dtype : {at::kBFloat16, at::kHalf, at::kDouble}) {
    const auto gradient = [&](int step) { return gradient_of_step(step, {40}, dtype); };
    EXPECT_TRUE(identical(this->train(trained({40}), this->options(), gradient), expected));
  }
}

TYPED_TEST(Paths, ChannelsLastAndTransposedParametersAreTheSame) {
  const std::vector<std::int64_t> shape = {4, 3, 5, 2};
  const auto expected = this->train(trained(shape), this->options(),
                                    [&](int step) { return gradient_of_step(step, shape); });
  const auto last = [](const at::Tensor& t) {
    return t.detach().contiguous(at::MemoryFormat::ChannelsLast);
  };
  const auto turned = [](const at::Tensor& t) {
    return t.detach().transpose(0, 1).contiguous().transpose(0, 1);
  };
  for (const auto& order :
       std::vector<std::function<at::Tensor(const at::Tensor&)>>{last, turned}) {
    for (const bool gradient_too : {false, true}) {
      auto weight = order(trained(shape)).requires_grad_();
      ASSERT_FALSE(weight.is_contiguous());
      const auto gradient = [&](int step) {
        const auto plain = gradient_of_step(step, shape);
        return gradient_too ? order(plain) : plain;
      };
      const auto result = this->train(weight, this->options(), gradient);
      if (on_cpu() || !std::is_same_v<TypeParam, LambKind>) {
        EXPECT_TRUE(identical(result, expected));
      } else {  // a device adds up norms in the order of memory
        expect_near(result, expected, 1e-6);
      }
    }
  }
}

// What the scaled step leaves in a gradient of another order, an expanded one and a sparse one.
TYPED_TEST(Paths, UnscaledGradientsComeBackInTheirOwnForm) {
  const auto one = at::full({}, 0.5, at::TensorOptions().device(test_device()));
  for (const auto path : optim::kPaths) {
    const optim::ForceAtenPath forced(path);
    const auto after = [&](const at::Tensor& gradient) {
      auto weight = trained({2, 3});
      typename TypeParam::Optimizer optimizer({weight}, this->options());
      weight.mutable_grad() = gradient;
      optimizer.scaled_step(one, at::zeros_like(one));
      return weight.grad();
    };
    const auto plain = gradient_of_step(1, {2, 3});
    const auto turned = after(plain.t().contiguous().t());
    EXPECT_TRUE(identical(turned, plain / 2));
    EXPECT_FALSE(turned.is_contiguous());
    EXPECT_TRUE(identical(after(tensor({3}).expand({2, 3})), tensor({1.5}).expand({2, 3})));
    EXPECT_TRUE(identical(after(plain.to(at::kDouble)), plain.to(at::kDouble) / 2));
    const auto sparse = after(plain.to_sparse());
    EXPECT_TRUE(sparse.is_sparse());
    EXPECT_TRUE(identical(sparse.to_dense(), plain / 2));
    // The sum of these two is no fp16 number.
    const auto twice =
        at::sparse_coo_tensor(at::tensor({0, 0, 1, 1}, at::kLong).view({2, 2}).to(test_device()),
                              tensor({60000, 60000}, at::kHalf), {2, 3});
    const auto summed =
        after(twice.index_select(0, at::tensor({0, 1}, at::kLong).to(test_device())));
    EXPECT_TRUE(summed.is_sparse());
    EXPECT_EQ(summed.scalar_type(), at::kFloat);
  }
}

TYPED_TEST(Paths, SparseGradientsAreTheirDenseOnes) {
  const auto some = [](int step) {
    auto gradient = gradient_of_step(step, {6, 2});
    gradient[1].zero_();
    gradient[4].zero_();
    return gradient;
  };
  const auto expected = this->train(trained({6, 2}), this->options(), some);
  const auto sparse = [&](int step) { return some(step).to_sparse(); };
  EXPECT_TRUE(identical(this->train(trained({6, 2}), this->options(), sparse), expected));
}

// Also for a norm, whose sums depend on their order.
TYPED_TEST(Paths, NumbersDoNotDependOnThreads) {
  const int threads = at::get_num_threads();
  const auto run = [&](int count) {
    at::set_num_threads(count);
    auto weight = trained({300'000}), small = trained({10}), low = trained({70'001}, at::kBFloat16);
    const auto options = this->options(
        {.weights = LowPrecisionWeights::stochastic, .bf16_moments = true, .seed = 3});
    typename TypeParam::Optimizer optimizer({weight, small, low}, options);
    const auto scale = at::full({}, 1.0 / 3).to(test_device());
    at::Tensor norm;
    for (int step = 0; step < 3; ++step) {
      for (auto* p : {&weight, &small, &low})
        p->mutable_grad() = gradient_of_step(step, p->sizes());
      norm = optimizer.fused_step({.inv_scale = scale, .max_grad_norm = 1}).grad_norm;
    }
    return std::vector<at::Tensor>{weight.detach(), small.detach(), low.detach(), norm};
  };
  const auto one = run(1), two = run(2), three = run(3);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(identical(one[i], two[i])) << i;
    EXPECT_TRUE(identical(one[i], three[i])) << i;
  }
}

TYPED_TEST(Paths, ParametersOfBothPathsShareOneNormAndOneSkip) {
  auto first = trained({2}), second = trained({2}, at::kDouble);
  typename TypeParam::Optimizer optimizer({first, second}, this->options());
  first.mutable_grad() = tensor({0, 6});
  second.mutable_grad() = tensor({8, 0}, at::kDouble);
  const auto half = at::full({}, 0.5).to(test_device());
  const auto clean = optimizer.fused_step({.inv_scale = half, .max_grad_norm = 10});
  EXPECT_EQ(clean.grad_norm.template item<float>(), 5.0F);
  const auto first_before = first.detach().clone(), second_before = second.detach().clone();
  second.mutable_grad() = tensor({1, std::numeric_limits<double>::infinity()}, at::kDouble);
  const auto skipped = optimizer.fused_step({.inv_scale = half});
  EXPECT_EQ(skipped.found_inf.template item<float>(), 1.0F);
  EXPECT_TRUE(identical(first, first_before));
  EXPECT_TRUE(identical(second, second_before));
}

// Lists are of parameters with one count of steps: one that now and then has no gradient leaves its
// list, and is trained as if it were alone.
TYPED_TEST(Paths, InListsEachParameterHasItsOwnCount) {
  const auto alone = [&](bool now_and_then) {
    auto weight = trained({6});
    typename TypeParam::Optimizer optimizer({weight}, this->options());
    for (int step = 0; step < 6; ++step) {
      if (now_and_then && step % 2 == 0) continue;
      weight.mutable_grad() = gradient_of_step(step, {6});
      optimizer.step();
    }
    return weight.detach().clone();
  };
  for (const auto path : {optim::AtenPath::lists, optim::AtenPath::one_by_one}) {
    const optim::ForceAtenPath forced(path);
    auto always = trained({6}), sometimes = trained({6}), late = trained({6}, at::kDouble);
    typename TypeParam::Optimizer optimizer({always, sometimes, late}, this->options());
    for (int step = 0; step < 6; ++step) {
      always.mutable_grad() = gradient_of_step(step, {6});
      sometimes.mutable_grad() = step % 2 == 1 ? gradient_of_step(step, {6}) : at::Tensor();
      if (step == 5) late.mutable_grad() = gradient_of_step(step, {6}, at::kDouble);
      optimizer.step();
    }
    EXPECT_TRUE(identical(always, alone(false)));
    EXPECT_TRUE(identical(sometimes, alone(true)));
    EXPECT_FALSE(identical(late, trained({6}, at::kDouble)));
  }
}

TYPED_TEST(Paths, EmptyParametersAndScalarsAreStepped) {
  for (const auto path : optim::kPaths) {
    const optim::ForceAtenPath forced(path);
    auto none = at::zeros({0, 3}).to(test_device()).requires_grad_();
    auto scalar = at::ones({}).to(test_device()).requires_grad_();
    typename TypeParam::Optimizer optimizer({none, scalar}, this->options());
    none.mutable_grad() = at::zeros({0, 3}).to(test_device());
    scalar.mutable_grad() = at::ones({}).to(test_device());
    const auto outcome = optimizer.fused_step({.max_grad_norm = 0.5});
    EXPECT_LT(scalar.template item<float>(), 1.0F);
    EXPECT_EQ(outcome.grad_norm.template item<float>(), 1.0F);
  }
}

}  // namespace
}  // namespace amp::tests::paths_test
