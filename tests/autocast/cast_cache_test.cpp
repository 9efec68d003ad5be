// The cache of cast weights: when a cast is served, when it is made again, when it is gone.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <atomic>
#include <thread>

#include "amp/autocast.h"
#include "tests/support/here.h"
#include "tests/support/live_bytes.h"
#include "tests/support/tensors.h"

namespace amp::tests::cast_cache_test {
namespace {

at::Tensor weight(double value = 2.0) { return here::full({2, 2}, value).requires_grad_(); }
at::Tensor ones() { return here::ones({2, 2}); }

// The first element of ones x weight: twice the weight's value.
double product(const at::Tensor& weight) { return at::mm(ones(), weight)[0][0].item<double>(); }

// A product whose graph holds on to the cast weight: the gradient of the first operand is made of it.
at::Tensor recorded(const at::Tensor& weight) { return at::mm(ones().requires_grad_(), weight); }

// The memory of that cast.
const void* cast_in(const at::Tensor& recorded) {
  const auto* node =
      dynamic_cast<torch::autograd::generated::MmBackward0*>(recorded.grad_fn().get());
  return node->mat2_.unpack().const_data_ptr();
}

// Whether the product with a weight uses the same cast before and after `between`.
template <typename Act>
bool same_cast_twice(const at::Tensor& weight, Act between) {
  const auto before = recorded(weight);
  between();
  const auto after = recorded(weight);
  return cast_in(before) == cast_in(after);
}

TEST(CastCache, S3_4_AWeightIsCastOnceARegion) {
  const auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_TRUE(same_cast_twice(w, [] {}));
}

TEST(CastCache, S3_4_CacheDisabledNothingIsKept) {
  const auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16, {.cache_enabled = false});
  EXPECT_FALSE(same_cast_twice(w, [] {}));
}

TEST(CastCache, S3_4_OnlyFp32LeavesThatNeedAGradientAreKept) {
  const Autocast autocast(kHere, at::kBFloat16);
  const auto activation = weight() * 1;
  EXPECT_FALSE(same_cast_twice(activation, [] {}));
}

// C++ Linear multiplies by weight.t(), a view that torch's cache never serves.
TEST(CastCache, TheTransposedViewOfAWeightIsServed) {
  const auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16);
  const auto by_view = recorded(w.t()), by_weight = recorded(w);
  EXPECT_EQ(cast_in(by_view), cast_in(by_weight));
  at::mm(ones(), w.t()).sum().backward();
  EXPECT_THAT(values(w.grad()), AreExactly(Values{2, 2, 2, 2}));
}

// torch returns 4: defect (a) of its cache.
TEST(CastCache, S6_2_AWeightThatChangesInsideARegionIsSeen) {
  const auto change_by = [](auto change) {
    auto w = weight();
    const Autocast autocast(kHere, at::kBFloat16);
    EXPECT_EQ(product(w), 4.0);
    change(w);
    return product(w);
  };
  EXPECT_EQ(change_by([](at::Tensor& w) {
              const c10::NoGradGuard guard;
              w.fill_(4);
            }),
            8.0);
  EXPECT_EQ(change_by([](at::Tensor& w) { w.set_data(here::full({2, 2}, 4.0)); }), 8.0);
  if (!on_cpu()) return;  // the others are found by looking at elements, for which a device waits
  EXPECT_EQ(change_by([](at::Tensor& w) { w.data().fill_(4); }), 8.0) << "the version stays";
  EXPECT_EQ(change_by([](at::Tensor& w) { std::fill_n(w.data_ptr<float>(), 4, 4.0F); }), 8.0);
  EXPECT_EQ(change_by([](at::Tensor& w) {
              torch::optim::SGD sgd({w}, torch::optim::SGDOptions(1.0));
              w.mutable_grad() = here::full({2, 2}, -2.0);
              sgd.step();
            }),
            8.0);
}

// Between two uses in one region 32 elements are looked at on the CPU, and a write through data() can
// go beside them.
TEST(CastCache, InvalidateHelpsWhereTheFingerprintMisses) {
  auto w = here::full({64, 64}, 2.0).requires_grad_();
  const auto sum = [&] { return at::mm(here::ones({1, 64}), w).sum().item<double>(); };
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(sum(), 8192.0);
  w.data()[0][1] = 66.0F;
  EXPECT_EQ(sum(), 8192.0) << "the documented miss";
  invalidate(w);
  EXPECT_EQ(sum(), 8256.0);
}

// torch: "mat1 and mat2 must have the same dtype, but got Half and BFloat16": defect (c).
TEST(CastCache, S6_2_NestedRegionsOfAnotherDtypeGetTheirOwn) {
  const auto w = weight();
  const Autocast outer(kHere, at::kBFloat16);
  EXPECT_EQ(at::mm(ones(), w).scalar_type(), at::kBFloat16);
  {
    const Autocast inner(kHere, at::kHalf);
    EXPECT_EQ(at::mm(ones(), w).scalar_type(), at::kHalf);
  }
  EXPECT_EQ(at::mm(ones(), w).scalar_type(), at::kBFloat16);
}

// torch clears every thread's: defect (b).
TEST(CastCache, S6_2_AnotherThreadsRegionLeavesItAlone) {
  const auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_TRUE(same_cast_twice(w, [&] {
    std::thread([&] {
      const Autocast its_own(kHere, at::kBFloat16);
      product(w);
    }).join();
  }));
}

TEST(CastCache, S3_2_NothingIsKeptAfterTheOutermostGuardNorAfterAnException) {
  auto w = weight();
  const auto copies = w.use_count();
  const LiveBytes bytes;
  try {
    const Autocast outer(kHere, at::kBFloat16);
    const Autocast inner(kHere, at::kBFloat16);
    product(w);
    EXPECT_EQ(w.use_count(), copies) << "the cast holds no graph";
    EXPECT_GT(bytes.now(), 0) << "the cast";
    throw std::runtime_error("the user's");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(w.use_count(), copies);
  EXPECT_EQ(bytes.now(), 0);
}

TEST(CastCache, S3_4_UnderNoGradThenWithGrad) {
  auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16);
  {
    const c10::NoGradGuard no_grad;
    EXPECT_FALSE(at::mm(ones(), w).requires_grad());
  }
  at::mm(ones(), w).sum().backward();
  EXPECT_THAT(values(w.grad()), AreExactly(Values{2, 2, 2, 2}));
}

TEST(CastCache, S3_4_InInferenceModeNothingIsKept) {
  auto w = weight();
  const Autocast autocast(kHere, at::kBFloat16);
  {
    const c10::InferenceMode inference;
    EXPECT_EQ(product(w), 4.0);
  }
  EXPECT_TRUE(at::mm(ones(), w).requires_grad());
  const c10::InferenceMode inference;
  w.data()[0][0] = 3.0F;
  EXPECT_EQ(at::mm(ones(), w)[0][0].item<double>(), 5.0);
}

TEST(CastCache, AWeightsSuccessorAtTheSameAddressIsNotMistakenForIt) {
  const Autocast autocast(kHere, at::kBFloat16);
  for (int i = 1; i < 50; ++i) EXPECT_EQ(product(weight(i)), 2.0 * i);
}

TEST(CastCache, AfterAStepInsideTheRegionTheNewWeightsAreUsed) {
  torch::nn::Linear linear(2, 2);
  linear->to(test_device());
  torch::optim::SGD sgd(linear->parameters(), torch::optim::SGDOptions(0.5));
  const Autocast autocast(kHere, at::kBFloat16);
  for (int i = 0; i < 3; ++i) {
    sgd.zero_grad();
    linear(ones()).sum().backward();
    sgd.step();  // raises no version
    if (!on_cpu()) {
      for (const auto& weight : linear->parameters()) invalidate(weight);
    }
    const auto expected =
        at::linear(ones().to(at::kBFloat16), linear->weight.detach().to(at::kBFloat16),
                   linear->bias.detach().to(at::kBFloat16));
    EXPECT_THAT(linear(ones()).detach(), IsIdenticalTo(expected));
  }
}

TEST(CastCache, EightThreadsWithWeightsReplacedEachStep) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&wrong, t] {
      for (int i = 0; i < 300; ++i) {
        const Autocast autocast(kHere, at::kBFloat16);
        const double value = 1 + (i + t) % 7;
        wrong += product(weight(value)) != 2 * value;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace amp::tests::cast_cache_test
