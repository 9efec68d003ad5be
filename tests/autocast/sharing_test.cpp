// What shares a region, a cache or a process: several models, weights that come and go, eight threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "amp/autocast.h"
#include "amp/cpu_math.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/support/here.h"
#include "tests/support/live_bytes.h"
#include "tests/support/mlp.h"

namespace amp::tests::sharing_test {
namespace {

using cpu_math_test::OpCounter;

constexpr int kThreads = 8;
const int kSteps = on_cpu() ? 10'000 : 500;  // a device is waited for in each
constexpr int kWarmUp = 100;

// Two models whose weights differ.
struct Models {
  Mlp first, second;
  Models() {
    const c10::NoGradGuard no_grad;
    for (auto& weight : second->parameters()) weight.mul_(-0.5);
  }
};

// --- several models ---

TEST(Sharing, TwoModelsInOneRegionAreEachAsAlone) {
  Models models;
  const auto input = batch(0).inputs;
  const auto alone = [&](Mlp& model) {
    const Autocast autocast(kHere, at::kBFloat16);
    return model->forward(input).detach();
  };
  const auto first = alone(models.first), second = alone(models.second);
  EXPECT_NE(values(first), values(second));
  const Autocast autocast(kHere, at::kBFloat16);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(models.first->forward(input).detach(), IsIdenticalTo(first));
    EXPECT_THAT(models.second->forward(input).detach(), IsIdenticalTo(second));
  }
}

TEST(Sharing, EveryWeightOfEveryModelIsCastOnce) {
  amp::set_cpu_bf16_math(false);  // its conversions are not autocast's
  Models models;
  const auto input = batch(0).inputs.to(at::kBFloat16);
  const Autocast autocast(kHere, at::kBFloat16);
  const OpCounter casts("aten::_to_copy");
  for (int i = 0; i < 5; ++i) models.second->forward(models.first->forward(input).repeat({1, 2}));
  EXPECT_EQ(casts.calls(), 8) << "two models of two weights and two biases";
}

// A layer that two models hold is one weight: its gradient is the sum of what each alone gives it.
TEST(Sharing, AWeightOfTwoModelsGathersBothGradients) {
  const auto weight = here::full({2, 2}, 3.0).requires_grad_();
  const auto left = here::full({1, 2}, 2.0), right = here::full({1, 2}, 5.0);
  at::Tensor loss;
  {
    const Autocast autocast(kHere, at::kBFloat16);
    loss = at::mm(left, weight).sum() + at::linear(right, weight).sum();
  }
  loss.backward();
  EXPECT_THAT(values(weight.grad()), AreExactly(Values{7, 7, 7, 7}));
}

TEST(Sharing, TheEndOfOneModelLeavesTheOthersCasts) {
  auto model = std::make_unique<Models>();
  Mlp kept = model->first;
  const auto input = batch(0).inputs;
  const Autocast autocast(kHere, at::kBFloat16);
  const auto before = kept->forward(input).detach();
  model->second->forward(input);
  model.reset();
  EXPECT_THAT(kept->forward(input).detach(), IsIdenticalTo(before));
}

// --- memory ---

// A step with a weight of its own: 2 x 2 of `value`, whose gradient is all twos.
bool step_is_right(c10::ScalarType dtype, double value) {
  auto weight = here::full({2, 2}, value).requires_grad_();
  at::Tensor product;
  {
    const Autocast autocast(kHere, dtype);
    product = at::mm(here::ones({2, 2}), weight);
  }
  product.sum().backward();
  return product.scalar_type() == dtype && values(product) == Values(4, 2 * value) &&
         values(weight.grad()) == Values(4, 2.0);
}

struct Told {
  int wrong = 0;
  std::set<std::int64_t> after, peaks;  // of each step after the first hundred, in bytes
};

Told train(int thread) {
  Told told;
  LiveBytes bytes;
  const auto dtype = thread % 2 == 0 ? at::kBFloat16 : at::kHalf;
  for (int i = 0; i < kSteps; ++i) {
    told.wrong += !step_is_right(dtype, 1 + (i + thread) % 7);
    const auto peak = bytes.take_peak();
    if (i < kWarmUp) continue;
    told.after.insert(bytes.now());
    told.peaks.insert(peak);
  }
  return told;
}

// Every step leaves nothing, and takes what every other step takes.
TEST(Sharing, EightThreadsTenThousandStepsWithNewWeightsMemoryIsFlat) {
  std::vector<Told> told(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&told, t] { told[static_cast<std::size_t>(t)] = train(t); });
  for (auto& thread : threads) thread.join();
  for (const auto& [wrong, after, peaks] : told) {
    EXPECT_EQ(wrong, 0);
    EXPECT_THAT(after, testing::ElementsAre(0));
    if (!on_cpu()) continue;  // a device's allocator reports blocks
    EXPECT_EQ(peaks.size(), 1U);
  }
}

// In one long region the casts of weights that are gone are dropped from time to time.
TEST(Sharing, InOneRegionReplacedWeightsDoNotPileUp) {
  LiveBytes bytes;
  int wrong = 0;
  {
    const Autocast outer(kHere, at::kBFloat16);
    for (int i = 0; i < kSteps; ++i) wrong += !step_is_right(at::kHalf, 1 + i % 7);
    bytes.take_peak();
    for (int i = 0; i < 2 * kSteps; ++i) wrong += !step_is_right(at::kHalf, 1 + i % 7);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(bytes.now(), 0);
  // 64 weights of 64 bytes with their casts and gradients, and a step's own tensors.
  if (!on_cpu()) return;
  EXPECT_LT(bytes.take_peak(), 128 * 4 * 64);
}

// Threads that share a model, each in a region of its own dtype: no one's cast is another's.
TEST(Sharing, ThreadsShareAModelInRegionsOfTheirOwn) {
  Mlp model;
  const auto input = batch(0).inputs;
  const auto output_in = [&](c10::ScalarType dtype) {
    const Autocast autocast(kHere, dtype);
    return model->forward(input).detach();
  };
  const at::Tensor expected[] = {output_in(at::kBFloat16), output_in(at::kHalf)};
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto dtype = t % 2 == 0 ? at::kBFloat16 : at::kHalf;
      for (int i = 0; i < 200; ++i) {
        const auto output = output_in(dtype);
        wrong += output.scalar_type() != dtype || !output.equal(expected[t % 2]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace amp::tests::sharing_test
