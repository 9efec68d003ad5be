// What the engine does with each rule, and where a region reaches.
#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <thread>

#include "amp/autocast.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::policy_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const OpPolicy kCpu = OpPolicy::torch(at::kCPU);
const OpPolicy kCuda = OpPolicy::torch(at::kCUDA);

at::Tensor square(c10::ScalarType dtype = at::kFloat) {
  return (here::arange(1, 17, at::kFloat) / 4).reshape({4, 4}).to(dtype);
}

// What `op` gives in a region with this policy.
template <typename Op>
c10::ScalarType dtype_under(const OpPolicy& policy, Op op, c10::ScalarType dtype = at::kBFloat16) {
  const Autocast autocast(kHere, dtype, {.policy = policy});
  return op().scalar_type();
}

TEST(Policy, S4_3_CudasRulesWorkOnTheCpu) {
  const auto low = square(at::kBFloat16);
  EXPECT_EQ(dtype_under(kCpu, [&] { return at::softmax(low, 1); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::softmax(low, 1); }), at::kFloat);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::softmax(low, 1, at::kDouble); }), at::kDouble);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::exp(low); }), at::kFloat);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::norm(low); }), at::kFloat);
  EXPECT_EQ(dtype_under(kCpu, [&] { return at::norm(low); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::norm(low, 2, {0}, false); }), at::kFloat);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::mv(square(), square()[0]); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kCpu, [&] { return at::mv(square(), square()[0]); }), at::kFloat);
}

TEST(Policy, S4_3_ABannedOpSaysWhatToUse) {
  const Autocast autocast(kHere, at::kHalf, {.policy = kCuda});
  EXPECT_THAT(
      [] { at::binary_cross_entropy(square() / 16, square() / 16); },
      ThrowsMessage<UnsupportedError>(AllOf(HasSubstr("binary_cross_entropy is banned"),
                                            HasSubstr("binary_cross_entropy_with_logits"))));
}

TEST(Policy, RulesCanBeEdited) {
  auto policy = kCpu;
  policy.set("mm", CastRule::fp32)
      .set("exp", CastRule::lower_precision)
      .set("log", CastRule::banned);
  const auto low = square(at::kBFloat16);
  EXPECT_EQ(dtype_under(policy, [&] { return at::mm(low, low); }), at::kFloat);
  EXPECT_EQ(dtype_under(policy, [&] { return at::exp(square()); }), at::kBFloat16);
  EXPECT_THAT([&] { dtype_under(policy, [&] { return at::log(low); }); },
              ThrowsMessage<UnsupportedError>(HasSubstr("log is banned")));
  EXPECT_EQ(dtype_under(kCpu, [&] { return at::log(low); }), at::kBFloat16);
}

// torch throws "Unexpected floating ScalarType in at::autocast::prioritize".
TEST(Policy, S6_5_MixedFp16AndBf16PromoteToFp32) {
  const auto half = square(at::kHalf), bfloat = square(at::kBFloat16);
  for (const auto& policy : {kCpu, OpPolicy::unified()}) {
    for (const auto dtype : {at::kHalf, at::kBFloat16}) {
      EXPECT_EQ(dtype_under(
                    policy,
                    [&] {
                      return at::cat({half, bfloat});
                    },
                    dtype),
                at::kFloat);
      EXPECT_EQ(dtype_under(
                    policy,
                    [&] {
                      return at::cat({half, half});
                    },
                    dtype),
                at::kHalf);
      EXPECT_EQ(dtype_under(
                    policy,
                    [&] {
                      return at::cat({bfloat, square()});
                    },
                    dtype),
                at::kFloat);
    }
  }
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::dot(half[0], bfloat[0]); }), at::kFloat);
}

TEST(Policy, S3_3_Fp64IntegersAndInPlaceVariantsAreLeftAlone) {
  const auto wide = square(at::kDouble);
  EXPECT_EQ(dtype_under(kCpu, [&] { return at::mm(wide, wide); }), at::kDouble);
  const auto whole = square(at::kLong);
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::sum(whole); }), at::kLong);
  auto fp32 = square();
  EXPECT_EQ(dtype_under(kCuda, [&] { return fp32.addmm_(square(), square()); }), at::kFloat);
  auto out = here::empty({4, 4});
  EXPECT_EQ(dtype_under(kCuda, [&] { return at::mm_out(out, square(), square()); }), at::kFloat);
}

TEST(Policy, S3_3_UndefinedAndOptionalTensorsPass) {
  const Autocast autocast(kHere, at::kBFloat16);
  EXPECT_EQ(at::linear(square(), square()).scalar_type(), at::kBFloat16);
  EXPECT_EQ(at::linear(square(), square(), at::Tensor()).scalar_type(), at::kBFloat16);
}

TEST(Policy, RegionsNestAndTheInnerPolicyRules) {
  const auto low = square(at::kBFloat16);
  const auto softmax = [&] { return at::softmax(low, 1).scalar_type(); };
  const Autocast outer(kHere, at::kBFloat16, {.policy = kCuda});
  EXPECT_EQ(softmax(), at::kFloat);
  {
    const Autocast inner(kHere, at::kBFloat16, {.policy = kCpu});
    EXPECT_EQ(softmax(), at::kBFloat16);
    {
      const Autocast off(kHere, {}, {.enabled = false});
      EXPECT_EQ(at::mm(square(), square()).scalar_type(), at::kFloat);
    }
    EXPECT_EQ(softmax(), at::kBFloat16);
  }
  EXPECT_EQ(softmax(), at::kFloat);
}

// Its forward pass runs softmax on whatever thread it is called on.
TEST(Policy, AThreadWithTheCallersStateHasItsPolicy) {
  const auto low = square(at::kBFloat16);
  const Autocast autocast(kHere, at::kBFloat16, {.policy = kCuda});
  c10::ScalarType with = at::kLong, without = at::kLong;
  const auto run = at::wrapPropagateTLSState([&] { with = at::softmax(low, 1).scalar_type(); });
  std::thread(run).join();
  std::thread([&] { without = at::mm(square(), square()).scalar_type(); }).join();
  EXPECT_EQ(with, at::kFloat);
  EXPECT_EQ(without, at::kFloat) << "a new thread starts without autocast";
}

TEST(Policy, WithoutAGuardOfOursTorchsOwnAutocastIsAsItWas) {
  at::autocast::set_autocast_enabled(kHere, true);
  const auto product = at::mm(square(), square()).scalar_type();
  const auto softmax = at::softmax(square(at::kBFloat16), 1).scalar_type();
  at::autocast::set_autocast_enabled(kHere, false);
  at::autocast::clear_cache();
  EXPECT_EQ(product, at::autocast::get_autocast_dtype(kHere));
  EXPECT_EQ(softmax, on_cpu() ? at::kBFloat16 : at::kFloat);
}

// --- ops that are added ---

at::Tensor twice(const at::Tensor& x, const std::vector<at::Tensor>& more) {
  auto sum = x * 2;
  for (const auto& tensor : more) sum = sum + tensor;
  return sum;
}

TORCH_LIBRARY(amp_test, library) {
  library.def("twice(Tensor x, Tensor[] more) -> Tensor", &twice);
}

at::Tensor call_twice(const at::Tensor& x, const std::vector<at::Tensor>& more) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("amp_test::twice", "")
          .typed<at::Tensor(const at::Tensor&, const std::vector<at::Tensor>&)>();
  return op.call(x, more);
}

TEST(Policy, AUsersOwnOpFollowsItsRule) {
  auto policy = kCpu;
  const auto run = [&] { return call_twice(square(), {square(at::kHalf)}); };
  EXPECT_EQ(dtype_under(policy, run), at::kFloat);
  policy.set("amp_test::twice", CastRule::lower_precision);
  EXPECT_EQ(dtype_under(policy, run), at::kBFloat16);
  policy.set("amp_test::twice", CastRule::promote);
  const auto low = [] { return call_twice(square(at::kHalf), {square(at::kHalf)}); };
  EXPECT_EQ(dtype_under(policy, low), at::kHalf);
  EXPECT_EQ(dtype_under(policy, run), at::kFloat);
  policy.set("amp_test::twice", CastRule::banned);
  EXPECT_THROW(dtype_under(policy, run), UnsupportedError);
  EXPECT_EQ(dtype_under(kCpu, low), at::kHalf) << "its kernel stays and does nothing";
  EXPECT_EQ(run().scalar_type(), at::kFloat) << "outside of any region";
}

TEST(Policy, AnAtenOpThatTorchDoesNotListFollowsItsRule) {
  auto policy = kCpu;
  policy.set("gelu", CastRule::fp32);
  const auto run = [] { return at::gelu(square(at::kBFloat16)); };
  EXPECT_EQ(dtype_under(policy, run), at::kFloat);
  EXPECT_EQ(dtype_under(kCpu, run), at::kBFloat16);
  auto leaf = square().requires_grad_();
  {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = policy});
    at::gelu(at::mm(leaf, leaf)).sum().backward();
  }
  EXPECT_EQ(leaf.grad().scalar_type(), at::kFloat);
}

// --- guards on threads ---

TEST(Policy, AGuardThatEndsOnAnotherThreadLeavesThatThreadAlone) {
  auto guard = std::make_unique<Autocast>(kHere);
  bool enabled_there = true;
  std::thread([&] {
    const Autocast own(kHere, at::kHalf);
    guard.reset();
    enabled_there = is_autocast_enabled(kHere) && autocast_dtype(kHere) == at::kHalf;
  }).join();
  EXPECT_TRUE(enabled_there);
  EXPECT_TRUE(is_autocast_enabled(kHere)) << "nobody could end it yet";
  EXPECT_THAT([] { Autocast{kHere}; },
              ThrowsMessage<StateError>(HasSubstr("destroyed on another thread")));
  EXPECT_FALSE(is_autocast_enabled(kHere));
  EXPECT_NO_THROW(Autocast{kHere});
}

}  // namespace
}  // namespace amp::tests::policy_test
