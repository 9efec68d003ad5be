// vmap under autocast: a level of functorch's, pushed by hand as Python's vmap pushes it. What comes
// out is what a loop over the batch gives; what is batched is never kept.
#include <ATen/functorch/DynamicLayer.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "amp/autocast.h"
#include "amp/cpu_math.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::vmap_test {
namespace {

using cpu_math_test::OpCounter;

// The innermost level of vmap while it lives.
class Level {
 public:
  explicit Level(std::int64_t batch_size)
      : batch_size_(batch_size),
        level_(at::functorch::initAndPushDynamicLayer(
            at::functorch::TransformType::Vmap, batch_size, at::functorch::RandomnessType::Error)) {
  }
  ~Level() { at::functorch::popDynamicLayerAndDeleteMetadata(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

  // Hides the first dimension, and shows it again.
  at::Tensor batched(const at::Tensor& stacked) const {
    return at::_add_batch_dim(stacked, 0, level_);
  }
  at::Tensor stacked(const at::Tensor& batched) const {
    return at::_remove_batch_dim(batched, level_, batch_size_, 0);
  }

 private:
  std::int64_t batch_size_, level_;
};

constexpr std::int64_t kBatch = 3;

// Integers from -8 to 8: every product and sum below is exact in bf16 and in fp16.
at::Tensor integers(at::IntArrayRef shape, std::int64_t stride) {
  const auto index = here::arange(c10::multiply_integers(shape), at::kLong);
  return ((index * stride).remainder(17) - 8).reshape(shape).to(at::kFloat);
}

at::Tensor weight() { return integers({2, 4}, 5).requires_grad_(); }
at::Tensor stack_of_weights() { return integers({kBatch, 2, 4}, 7).requires_grad_(); }
at::Tensor inputs() { return integers({kBatch, 5, 4}, 3); }

// The products of every input and weight of the stacks in fp32, made without autocast.
at::Tensor expected(const at::Tensor& inputs, const at::Tensor& weights) {
  const c10::NoGradGuard no_grad;
  return at::matmul(inputs, weights.transpose(-1, -2));
}

class Vmap : public testing::TestWithParam<c10::ScalarType> {};

TEST_P(Vmap, ABatchedInputAndOneWeight) {
  auto w = weight();
  at::Tensor by_linear, by_mm;
  {
    const Autocast autocast(kHere, GetParam());
    const Level level(kBatch);
    const auto input = level.batched(inputs());
    by_linear = level.stacked(at::linear(input, w));
    by_mm = level.stacked(at::mm(input, w.t()));
  }
  const auto wanted = expected(inputs(), w).to(GetParam());
  EXPECT_THAT(by_linear.detach(), IsIdenticalTo(wanted));
  EXPECT_THAT(by_mm.detach(), IsIdenticalTo(wanted));
  by_linear.sum().backward();
  EXPECT_EQ(w.grad().scalar_type(), at::kFloat);
  EXPECT_THAT(values(w.grad()), AreExactly(values(inputs().flatten(0, 1).sum(0).expand({2, 4}))));
}

TEST_P(Vmap, ABatchOfWeights) {
  auto stacked = stack_of_weights();
  at::Tensor output;
  {
    const Autocast autocast(kHere, GetParam());
    const Level level(kBatch);
    output = level.stacked(at::linear(level.batched(inputs()), level.batched(stacked)));
  }
  EXPECT_THAT(output.detach(), IsIdenticalTo(expected(inputs(), stacked).to(GetParam())));
  output.sum().backward();
  EXPECT_THAT(values(stacked.grad()),
              AreExactly(values(inputs().sum(1, true).expand({kBatch, 2, 4}))));
}

TEST_P(Vmap, TwoLevels) {
  const auto w = weight();
  const Autocast autocast(kHere, GetParam());
  const Level outer(kBatch);
  const auto rows = outer.batched(inputs());
  at::Tensor output;
  {
    const Level inner(5);
    output = inner.stacked(
        at::mv(at::linear(inner.batched(rows), w).unsqueeze(1), here::ones({1}, GetParam())));
  }
  EXPECT_THAT(outer.stacked(output).detach(), IsIdenticalTo(expected(inputs(), w).to(GetParam())));
}

// softmax of what fp16 and bf16 can hold, in fp32 as CUDA's list has it.
TEST_P(Vmap, ThePolicyHoldsInsideALevel) {
  const auto low = inputs().to(GetParam());
  const Autocast autocast(kHere, GetParam(), {.policy = OpPolicy::unified()});
  const Level level(kBatch);
  const auto softmax = level.stacked(at::softmax(level.batched(low), 1));
  EXPECT_THAT(softmax, IsIdenticalTo(at::_softmax(inputs(), 2, false)));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Vmap, testing::Values(at::kBFloat16, at::kHalf),
                         [](const auto& param) { return c10::toString(param.param); });

// The weight itself is no batched tensor: its cast is made once and serves outside of the level, too.
TEST(VmapCache, TheWeightThatAllShareIsCastOnce) {
  const auto w = weight();
  const auto low = inputs().to(at::kBFloat16);
  const auto wanted = expected(inputs(), w).to(at::kBFloat16);
  const Autocast autocast(kHere, at::kBFloat16);
  set_cpu_bf16_math(false);  // whose conversions are not autocast's
  const OpCounter casts("aten::_to_copy");
  {
    const Level level(kBatch);
    at::linear(level.batched(low), w);
    at::linear(level.batched(low), w);
  }
  const auto outside = at::linear(low[0], w);
  EXPECT_EQ(casts.calls(), 1);
  EXPECT_THAT(outside.detach(), IsIdenticalTo(wanted[0]));
}

// A cast that outlived its level would be served in the next one, or keep the weights alive.
TEST(VmapCache, NothingBatchedIsKept) {
  const auto stacked = stack_of_weights();
  const auto low = inputs().to(at::kBFloat16);
  const auto wanted = expected(inputs(), stacked).to(at::kBFloat16);
  const Autocast autocast(kHere, at::kBFloat16);
  const auto holders = stacked.use_count();
  for (int i = 0; i < 3; ++i) {
    const OpCounter casts("aten::_to_copy");
    at::Tensor output;
    {
      const Level level(kBatch);
      output = level.stacked(at::linear(level.batched(low), level.batched(stacked)));
    }
    EXPECT_GT(casts.calls(), 0);
    EXPECT_THAT(output.detach(), IsIdenticalTo(wanted));
    output.reset();
    EXPECT_EQ(stacked.use_count(), holders);
  }
}

}  // namespace
}  // namespace amp::tests::vmap_test
