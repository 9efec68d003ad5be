// OpPolicy::fast: which ops read low precision, and that they lose no more than one rounding.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::fast_policy_test {
namespace {

const OpPolicy kFast = OpPolicy::fast(kHere);

// By how much `got` is further from `want` than one rounding to `dtype` explains, in units of fp32's
// rounding of the largest value.
double past_one_rounding(const at::Tensor& got, const at::Tensor& want, c10::ScalarType dtype) {
  const double half_ulp = dtype == at::kHalf ? std::ldexp(1, -11) : std::ldexp(1, -8);
  const double normal = dtype == at::kHalf ? std::ldexp(1, -14) : std::ldexp(1, -126);
  const auto size = want.abs();
  const auto binade = at::exp2(at::floor(at::log2(size.clamp_min(normal))));
  const auto error = (got.to(at::kDouble) - want).abs() - binade * half_ulp;
  return error.max().item<double>() / (size.max().item<double>() * std::ldexp(1, -24));
}

struct Case {
  std::string name;
  std::function<at::Tensor(const at::Tensor&)> op;
  bool on_cpu = true, on_cuda = true;  // whether it reads low precision
};

// Weights that every dtype holds: CUDA casts them to the input's.
at::Tensor ramp(std::int64_t count, c10::ScalarType dtype) {
  const auto exact = here::linspace(0.5, 2, count).to(at::kBFloat16);
  return exact.to(dtype == at::kDouble ? at::kDouble : at::kFloat);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> cases = {
      {"softmax over the last", [](auto& x) { return at::softmax(x, -1); }},
      {"softmax over the first", [](auto& x) { return at::softmax(x, 0); }, false, true},
      {"log_softmax over the last", [](auto& x) { return at::log_softmax(x, 1); }, false, true},
      {"log_softmax over the first", [](auto& x) { return at::log_softmax(x, 0); }},
      {"layer_norm",
       [](auto& x) {
         const auto weight = ramp(x.size(1), x.scalar_type());
         return at::layer_norm(x, {x.size(1)}, weight, weight);
       }},
      {"group_norm",
       [](auto& x) {
         const auto images = x.reshape({8, 8, x.size(1)});
         const auto weight = ramp(8, x.scalar_type());
         return at::group_norm(images, 2, weight, weight);
       },
       true, false},
      {"batch_norm",
       [](auto& x) {
         const auto weight = ramp(x.size(1), x.scalar_type());
         return at::batch_norm(x, weight, weight, at::zeros_like(weight), at::ones_like(weight),
                               true, 0.1, 1e-5, false);
       }},
      {"rms_norm", [](auto& x) { return at::rms_norm(x, {x.size(1)}); }},
      {"gelu", [](auto& x) { return at::gelu(x); }},
      {"gelu, tanh", [](auto& x) { return at::gelu(x, "tanh"); }},
  };
  return cases;
}

TEST(FastPolicy, OpsReadLowPrecisionAndRoundOnce) {
  for (const auto& [name, op, low_on_cpu, low_on_cuda] : cases()) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      for (const auto columns : {16, 33, 1000}) {
        SCOPED_TRACE(name + ", " + c10::toString(dtype) + ", " + std::to_string(columns));
        at::manual_seed(static_cast<std::uint64_t>(columns));
        const auto x = (here::randn({64, columns}) * 3).to(dtype);
        at::Tensor got;
        {
          const Autocast autocast(kHere, dtype, {.policy = kFast});
          got = op(x);
        }
        EXPECT_EQ(got.scalar_type(), (on_cpu() ? low_on_cpu : low_on_cuda) ? dtype : at::kFloat);
        const auto want = op(x.to(at::kDouble));
        EXPECT_LT(past_one_rounding(got, want, dtype), 64);
      }
    }
  }
}

// What the two go to fp32 for: without, they miss by far more.
TEST(FastPolicy, WhereLibTorchRoundsInBetweenTheFastPolicyTakesFp32) {
  if (!on_cpu()) GTEST_SKIP() << "the CPU's kernels alone do";
  at::manual_seed(0);
  const auto x = (here::randn({64, 1000}) * 3).to(at::kBFloat16);
  const auto wide = x.to(at::kDouble);
  EXPECT_GT(past_one_rounding(at::softmax(x, 0), at::softmax(wide, 0), at::kBFloat16), 500);
  EXPECT_GT(past_one_rounding(at::log_softmax(x, 1), at::log_softmax(wide, 1), at::kBFloat16), 500);
}

TEST(FastPolicy, Fp32StaysFp32) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kFast});
  const auto x = here::ones({4, 4});
  EXPECT_EQ(at::softmax(x, 1).scalar_type(), at::kFloat);
  EXPECT_EQ(at::layer_norm(x, {4}).scalar_type(), at::kFloat);
  EXPECT_EQ(at::softmax(x.to(at::kBFloat16), 0, at::kDouble).scalar_type(), at::kDouble);
}

// Where torch's list has a rule that casts, `fast` has the same, but for the six that compute inside; and
// where it keeps or promotes, `fast` may complete it by fp32_inside or promote.
TEST(FastPolicy, AllElseIsTorchs) {
  const auto torch = OpPolicy::torch(kHere);
  int inside = 0, low = 0, completed = 0;
  for (const auto& op : OpPolicy::ops()) {
    const auto mine = kFast.rule(op), theirs = torch.rule(op);
    if (mine == theirs) continue;
    if (mine == CastRule::lower_precision) {
      EXPECT_EQ(theirs, CastRule::keep) << op;
      ++low;
    } else if (theirs == CastRule::keep || theirs == CastRule::promote) {
      EXPECT_TRUE(mine == CastRule::fp32_inside || mine == CastRule::promote) << op;
      ++completed;
    } else {
      EXPECT_EQ(mine, CastRule::fp32_inside) << op;
      ++inside;
    }
  }
  // embedding; on the CPU five products and eight networks, too.
  EXPECT_EQ(low, on_cpu() ? 14 : 1);
  EXPECT_GT(completed, 150);
  // The six and, on the CPU, four cells.
  EXPECT_LE(inside, 10);
}

// CUDA's kernels want weights of the input's dtype: the rule, on CPU tensors.
TEST(FastPolicy, OnCudaTheOthersTakeTheFirstsDtype) {
  const auto cuda = OpPolicy::fast(at::kCUDA);
  EXPECT_EQ(cuda.rule("layer_norm"), CastRule::fp32_inside);
  EXPECT_EQ(cuda.rule("softmax.int"), CastRule::fp32_inside);
  EXPECT_EQ(cuda.rule("group_norm"), CastRule::fp32);
  EXPECT_EQ(cuda.rule("exp"), CastRule::fp32);
}

TEST(FastPolicy, OnlyOpsThatAreKnownToComputeInFp32CanFollowTheRule) {
  const auto fast = OpPolicy::fast(at::kCPU);
  auto policy = fast;
  EXPECT_THAT(
      [&] { policy.set("exp", CastRule::fp32_inside); },
      testing::ThrowsMessage<InvalidArgument>(testing::HasSubstr("exp cannot follow fp32_inside")));
  EXPECT_TRUE(policy == fast);
  EXPECT_TRUE(OpPolicy::from_json(fast.to_json()) == fast);
  EXPECT_THAT(fast.explain("softmax.int"),
              testing::HasSubstr("computes in fp32 inside), by the fast CPU list"));
}

}  // namespace
}  // namespace amp::tests::fast_policy_test
