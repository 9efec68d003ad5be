// CustomForward and CustomBackward in a user's torch::autograd::Function.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include "amp/autocast.h"
#include "amp/custom_function.h"
#include "amp/error.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::custom_function_test {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// What the passes of the last call met. A device's backward pass has a thread of its own.
struct Met {
  c10::ScalarType input, forward_mm, backward_mm, backward_softmax;
};
Met met;

at::Tensor ones() { return here::ones({2, 2}); }

// x * x as a product, so that both passes meet a cast rule.
struct Square : Function<Square> {
  static at::Tensor forward(AutogradContext* ctx, at::Tensor x,
                            std::optional<c10::ScalarType> cast_inputs) {
    const CustomForward region(ctx, kHere, cast_inputs);
    x = region.cast(x);
    met.input = x.scalar_type();
    ctx->save_for_backward({x});
    const auto result = at::mm(x, x);
    met.forward_mm = result.scalar_type();
    return result;
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const CustomBackward region(ctx);
    met.backward_mm = at::mm(ones(), ones()).scalar_type();
    met.backward_softmax = at::softmax(ones().to(at::kBFloat16), 0).scalar_type();
    const auto x = ctx->get_saved_variables()[0];
    return {at::mm(gradients[0], x.t()) + at::mm(x.t(), gradients[0]), at::Tensor()};
  }
};

TEST(CustomFunction, S3_6_WithoutCastInputsBackwardRunsAsForwardDid) {
  const auto x = ones().requires_grad_();
  at::Tensor y;
  {
    const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::torch(at::kCUDA)});
    y = Square::apply(x, std::nullopt);
  }
  EXPECT_EQ(met.input, at::kFloat);
  EXPECT_EQ(met.forward_mm, at::kBFloat16);
  y.to(at::kFloat).sum().backward();
  EXPECT_EQ(met.backward_mm, at::kBFloat16) << "although the region has ended";
  EXPECT_EQ(met.backward_softmax, at::kFloat) << "the region's policy, too";
  EXPECT_THAT(values(x.grad()), AreExactly(Values{4, 4, 4, 4}));
  EXPECT_FALSE(is_autocast_enabled(kHere));
}

TEST(CustomFunction, S3_6_WithCastInputsBothPassesRunWithAutocastOff) {
  const auto x = ones().to(at::kBFloat16).requires_grad_();
  {
    const Autocast autocast(kHere, at::kBFloat16);
    const auto y = Square::apply(x, at::kFloat);
    EXPECT_EQ(met.input, at::kFloat);
    EXPECT_EQ(met.forward_mm, at::kFloat);
    EXPECT_TRUE(is_autocast_enabled(kHere)) << "restored";
    y.sum().backward();  // inside the region
  }
  EXPECT_EQ(met.backward_mm, at::kFloat);
  EXPECT_THAT(values(x.grad()), AreExactly(Values{4, 4, 4, 4}));
}

TEST(CustomFunction, S3_6_OutsideOfAutocastCastInputsDoesNothing) {
  const auto x = ones().to(at::kBFloat16).requires_grad_();
  const auto y = Square::apply(x, at::kFloat);
  EXPECT_EQ(met.input, at::kBFloat16);
  {
    const Autocast autocast(kHere, at::kHalf);
    y.to(at::kFloat).sum().backward();
  }
  EXPECT_EQ(met.backward_mm, at::kFloat) << "off, as in the forward pass";
}

TEST(CustomFunction, S3_6_OnlyEligibleTensorsAreCast) {
  AutogradContext context;
  const Autocast autocast(kHere, at::kBFloat16);
  const CustomForward region(&context, kHere, at::kFloat);
  const std::vector<at::Tensor> given = {ones().to(at::kBFloat16), ones().to(at::kDouble),
                                         ones().to(at::kLong), at::Tensor()};
  const auto cast = region.cast(given);
  EXPECT_EQ(cast[0].scalar_type(), at::kFloat);
  EXPECT_EQ(cast[1].scalar_type(), at::kDouble);
  EXPECT_EQ(cast[2].scalar_type(), at::kLong);
  EXPECT_FALSE(cast[3].defined());
}

TEST(CustomFunction, MisuseIsRefused) {
  AutogradContext context;
  EXPECT_THAT([&] { const CustomBackward region(&context); },
              testing::ThrowsMessage<StateError>(testing::HasSubstr("make a CustomForward")));
  EXPECT_THAT([&] { const CustomForward region(&context, kHere, at::kLong); },
              testing::ThrowsMessage<InvalidArgument>(testing::HasSubstr("got Long")));
}

TEST(CustomFunction, TheRegionsPolicyCanBeAskedFor) {
  const auto elsewhere = on_cpu() ? at::kCUDA : at::kCPU;
  EXPECT_TRUE(autocast_policy(elsewhere) == OpPolicy::torch(elsewhere));
  const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::unified()});
  EXPECT_TRUE(autocast_policy(kHere) == OpPolicy::unified());
  EXPECT_TRUE(autocast_policy(elsewhere) == OpPolicy::torch(elsewhere));
}

}  // namespace
}  // namespace amp::tests::custom_function_test
