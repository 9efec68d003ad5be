// Rules by the names that users know, on the modules of those names.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/utils/rnn.h>

#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::user_names_test {
namespace {

namespace nn = torch::nn;

OpPolicy policy_with(const std::string& name, CastRule rule) {
  return OpPolicy::torch(kHere).set(name, rule);
}

// What `act` gives in a bf16 region with the policy.
template <typename Act>
at::Tensor under(const OpPolicy& policy, Act act) {
  const Autocast autocast(kHere, at::kBFloat16, {.policy = policy});
  return act();
}

template <typename Act>
at::ScalarType dtype_under(const OpPolicy& policy, Act act) {
  return under(policy, act).scalar_type();
}

template <typename Module>
Module placed(Module module) {
  module->to(test_device());
  return module;
}

const auto kLinearFp32 = policy_with("linear", CastRule::fp32);

// C++ torch::nn::Linear calls addmm with two dimensions and a bias, else matmul.
TEST(UserNames, LinearIsWhatItsModuleCalls) {
  at::manual_seed(0);
  for (const bool bias : {true, false}) {
    auto layer = placed(nn::Linear(nn::LinearOptions(5, 3).bias(bias)));
    for (const auto& shape : {std::vector<std::int64_t>{5}, {4, 5}, {2, 4, 5}, {2, 2, 4, 5}}) {
      const auto x = here::randn(shape);
      const auto result = under(kLinearFp32, [&] { return layer(x); });
      EXPECT_EQ(result.scalar_type(), at::kFloat) << shape.size() << bias;
      EXPECT_TRUE(at::equal(result, layer(x))) << "fp32's bits";
      EXPECT_EQ(dtype_under(OpPolicy::torch(kHere), [&] { return layer(x); }), at::kBFloat16);
      const at::NoGradGuard no_grad;
      EXPECT_EQ(dtype_under(kLinearFp32, [&] { return layer(x); }), at::kFloat) << "no_grad";
    }
  }
}

TEST(UserNames, LinearTakesLowPrecisionInputsUp) {
  auto layer = placed(nn::Linear(5, 3));
  const auto x = here::randn({4, 5}).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(under(kLinearFp32, [&] { return layer(x); }), layer(x.to(at::kFloat))));
}

TEST(UserNames, AProductOfActivationsIsNoLinear) {
  const auto input = here::randn({4, 4}).requires_grad_();
  const auto a = input * 2, b = input + 1;
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::mm(a, b); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::matmul(a, b.t()); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::addmm(a, a, b); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::matmul(input, b); }), at::kBFloat16)
      << "the first operand does not count";
  const at::NoGradGuard no_grad;
  const auto q = here::randn({4, 4}), k = here::randn({4, 4});
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::matmul(q, k.t()); }), at::kBFloat16);
}

TEST(UserNames, AViewOfAParameterIsOne) {
  const auto weight = here::randn({6, 4}).requires_grad_();
  const auto x = here::randn({3, 4});
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::matmul(x, weight.chunk(2)[1].t()); }),
            at::kFloat);
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::mm(x, weight.view({4, 6})); }), at::kFloat);
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::mm(x, (weight * 2).t()); }), at::kBFloat16)
      << "a weight that was computed is none";
}

TEST(UserNames, InInferenceModeAWeightIsWhatWasMadeOutside) {
  auto layer = placed(nn::Linear(5, 3));
  const c10::InferenceMode inference;
  const auto x = here::randn({4, 5});
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return layer(x); }), at::kFloat);
  const auto a = here::randn({4, 4}), b = here::randn({4, 4});
  EXPECT_EQ(dtype_under(kLinearFp32, [&] { return at::mm(a, b.t()); }), at::kBFloat16);
}

TEST(UserNames, AFrozenWeightIsAParameterOfTheModelThatIsBound) {
  auto layer = placed(nn::Linear(5, 3));
  for (auto& parameter : layer->parameters()) parameter.requires_grad_(false);
  const auto x = here::randn({4, 5});
  auto bound = kLinearFp32;
  bound.bind(layer);
  EXPECT_EQ(dtype_under(bound, [&] { return layer(x); }), at::kFloat);
  EXPECT_EQ(dtype_under(bound, [&] { return at::mm(x, here::randn({5, 3})); }), at::kBFloat16);
}

TEST(UserNames, LinearAndAddmmHoldSideBySide) {
  auto layer = placed(nn::Linear(4, 4));
  const auto x = here::randn({4, 4});
  const auto activation = [&] { return at::addmm(x, x, x * 2); };
  for (const bool linear_first : {true, false}) {
    auto policy = OpPolicy::torch(kHere);
    if (linear_first) policy.set("linear", CastRule::lower_precision);
    policy.set("addmm", CastRule::fp32);
    if (!linear_first) policy.set("linear", CastRule::lower_precision);
    EXPECT_EQ(dtype_under(policy, [&] { return layer(x); }), at::kBFloat16);
    EXPECT_EQ(dtype_under(policy, activation), at::kFloat);
  }
  EXPECT_EQ(dtype_under(policy_with("addmm", CastRule::fp32), [&] { return layer(x); }), at::kFloat)
      << "without a rule for linear, addmm's holds for all";
}

TEST(UserNames, ConvolutionsAreWhatTheirModulesCall) {
  const auto image = here::randn({1, 2, 8, 8});
  auto conv = placed(nn::Conv2d(nn::Conv2dOptions(2, 3, 3)));
  auto same = placed(nn::Conv2d(nn::Conv2dOptions(2, 3, 3).padding(torch::kSame)));
  auto circular =
      placed(nn::Conv2d(nn::Conv2dOptions(2, 3, 3).padding(1).padding_mode(torch::kCircular)));
  auto up = placed(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(2, 3, 3)));
  const auto conv2d = policy_with("conv2d", CastRule::fp32);
  for (auto& layer : {conv, same, circular})
    EXPECT_EQ(dtype_under(conv2d, [&, l = layer]() mutable { return l(image); }), at::kFloat);
  EXPECT_EQ(dtype_under(conv2d, [&] { return up(image); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(policy_with("conv_transpose2d", CastRule::fp32), [&] { return up(image); }),
            at::kFloat);
  for (const char* name : {"conv", "convolution"}) {
    EXPECT_EQ(dtype_under(policy_with(name, CastRule::fp32), [&] { return conv(image); }),
              at::kFloat);
    EXPECT_EQ(dtype_under(policy_with(name, CastRule::fp32), [&] { return up(image); }),
              at::kFloat);
  }
}

// What torch.jit.trace writes down of a convolution.
TEST(UserNames, ATracedConvolutionIsToldByItsWeight) {
  const auto traced = [](const at::Tensor& x, const at::Tensor& weight, bool transposed) {
    const std::vector<std::int64_t> ones(static_cast<std::size_t>(x.dim() - 2), 1),
        zeros(static_cast<std::size_t>(x.dim() - 2), 0);
    return at::_convolution(x, weight, {}, ones, zeros, ones, transposed, zeros, 1, false, false,
                            true, true);
  };
  const auto image = here::randn({1, 2, 4, 4}), line = here::randn({1, 2, 4});
  const auto square = here::randn({2, 2, 3, 3}), row = here::randn({2, 2, 3});
  auto base = OpPolicy::torch(at::kCUDA);  // where _convolution is listed
  const auto conv2d = OpPolicy(base).set("conv2d", CastRule::fp32);
  EXPECT_EQ(dtype_under(conv2d, [&] { return traced(image, square, false); }), at::kFloat);
  EXPECT_EQ(dtype_under(conv2d, [&] { return traced(image, square, true); }), at::kBFloat16);
  EXPECT_EQ(dtype_under(conv2d, [&] { return traced(line, row, false); }), at::kBFloat16);
  const auto up = OpPolicy(base).set("conv_transpose2d", CastRule::fp32);
  EXPECT_EQ(dtype_under(up, [&] { return traced(image, square, true); }), at::kFloat);
}

TEST(UserNames, AttentionIsWhatItsModuleCalls) {
  const auto fp32 = policy_with("attention", CastRule::fp32);
  const auto q = here::randn({2, 3, 4});
  EXPECT_EQ(dtype_under(fp32, [&] { return at::scaled_dot_product_attention(q, q, q); }),
            at::kFloat);
  EXPECT_EQ(dtype_under(fp32, [&] { return at::bmm(q, q.transpose(1, 2)); }), at::kFloat);
  EXPECT_EQ(dtype_under(fp32, [&] { return at::matmul(q, q.transpose(1, 2)); }), at::kFloat);
  EXPECT_EQ(dtype_under(fp32, [&] { return at::softmax(q.to(at::kBFloat16), -1); }), at::kFloat);
  EXPECT_EQ(dtype_under(fp32, [&] { return at::softmax(q[0].to(at::kBFloat16), -1); }),
            at::kBFloat16)
      << "of a classifier";
  const auto weight = here::randn({4, 4}).requires_grad_();
  EXPECT_EQ(dtype_under(fp32, [&] { return at::matmul(q, weight.t()); }), at::kBFloat16)
      << "a projection is linear's";
  EXPECT_EQ(dtype_under(fp32, [&] { return at::mm(q[0], q[1].t()); }), at::kBFloat16);
}

TEST(UserNames, MultiheadAttentionComputesItsScoresInFp32) {
  at::manual_seed(1);
  auto layer = placed(nn::MultiheadAttention(nn::MultiheadAttentionOptions(4, 2)));
  const auto x = here::randn({3, 2, 4});
  const CastLog log;
  under(policy_with("multihead_attention", CastRule::fp32),
        [&] { return std::get<0>(layer(x, x, x)); });
  std::int64_t products = 0, softmax = 0;
  for (const auto& count : log.counts()) {
    if (count.op == "bmm") {
      EXPECT_EQ(count.rule, CastRule::fp32);
      EXPECT_EQ(count.by, "multihead_attention");
      products += count.calls;
    }
    if (count.op == "softmax.int" && count.by == "multihead_attention") softmax += count.calls;
    if (count.op == "matmul") {
      EXPECT_EQ(count.rule, CastRule::lower_precision) << "a projection";
    }
  }
  EXPECT_EQ(products, 2);
  EXPECT_EQ(softmax, 1);
}

TEST(UserNames, RecurrentModulesHoldTheirNames) {
  const auto x = here::randn({3, 2, 4});
  const auto packed = nn::utils::rnn::pack_padded_sequence(x, at::tensor({3, 2}, at::kLong));
  auto lstm = placed(nn::LSTM(4, 5));
  auto gru = placed(nn::GRU(4, 5));
  auto rnn = placed(nn::RNN(4, 5));
  auto cell = placed(nn::LSTMCell(4, 5));
  const auto lstm_fp32 = OpPolicy::fast(kHere).set("lstm", CastRule::fp32);
  EXPECT_EQ(dtype_under(lstm_fp32, [&] { return std::get<0>(lstm(x)); }), at::kFloat);
  EXPECT_EQ(
      dtype_under(lstm_fp32,
                  [&] { return std::get<0>(lstm->forward_with_packed_input(packed)).data(); }),
      at::kFloat);
  EXPECT_EQ(dtype_under(lstm_fp32, [&] { return std::get<0>(cell(x[0])); }), at::kFloat);
  EXPECT_EQ(dtype_under(policy_with("gru", CastRule::fp32), [&] { return std::get<0>(gru(x)); }),
            at::kFloat);
  EXPECT_EQ(dtype_under(policy_with("rnn", CastRule::fp32), [&] { return std::get<0>(rnn(x)); }),
            at::kFloat);
}

TEST(UserNames, TheLogTellsWhichNameDecided) {
  auto layer = placed(nn::Linear(4, 4));
  const auto x = here::randn({4, 4});
  const CastLog log;
  under(kLinearFp32, [&] { return at::addmm(x, layer(x), x); });
  std::int64_t linear = 0, other = 0;
  for (const auto& count : log.counts()) {
    if (count.op != "addmm") continue;
    (count.by == "linear" ? linear : other) += count.calls;
    EXPECT_EQ(count.rule, count.by == "linear" ? CastRule::fp32 : CastRule::lower_precision);
  }
  EXPECT_EQ(linear, 1);
  EXPECT_EQ(other, 1);
}

}  // namespace
}  // namespace amp::tests::user_names_test
