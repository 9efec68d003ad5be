// A weight that is used many times in one region: one cast, and a gradient that adds up in fp32.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include <functional>
#include <memory>
#include <string>
#include <tuple>

#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "amp/optim.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::weight_uses_test {
namespace {

enum class Owner { none, ours };

// A policy, a dtype, and whether an optimizer of ours keeps copies of the weights.
class WeightUses : public testing::TestWithParam<std::tuple<const char*, c10::ScalarType, Owner>> {
 protected:
  static OpPolicy policy() {
    const std::string name = std::get<0>(GetParam());
    if (name == "fast") return OpPolicy::fast(kHere);
    return name == "unified" ? OpPolicy::unified() : OpPolicy::torch(kHere);
  }
  static c10::ScalarType dtype() { return std::get<1>(GetParam()); }

  // Enough for a sum of ones in the dtype to have stood still before: at 2,048 or 256.
  static std::int64_t uses() { return dtype() == at::kHalf ? 2500 : 300; }

  std::unique_ptr<Autocast> region() const {
    return std::make_unique<Autocast>(kHere, dtype(), AutocastOptions{.policy = policy()});
  }
  void own(std::vector<at::Tensor> weights) {
    if (std::get<2>(GetParam()) == Owner::ours)
      owner_ = std::make_unique<optim::SGD>(std::move(weights), optim::SGDOptions{.lr = 0.1});
  }
  at::Tensor weight(at::Tensor values) {
    values.requires_grad_();
    own({values});
    return values;
  }

 private:
  std::unique_ptr<optim::SGD> owner_;
};

using Use = std::function<at::Tensor(const at::Tensor& weight)>;

// The sum over `uses` uses, in fp32, and its gradient.
at::Tensor gradient_of_sum(const at::Tensor& weight, std::int64_t uses, const Use& use) {
  auto sum = here::zeros({});
  for (std::int64_t i = 0; i < uses; ++i) sum = sum + use(weight).to(at::kFloat).sum();
  sum.backward();
  return weight.grad();
}

TEST_P(WeightUses, OfALinearModule) {
  torch::nn::Linear linear(torch::nn::LinearOptions(1, 1).bias(false));
  linear->to(test_device());
  own({linear->weight});
  const auto autocast = region();
  const auto gradient = gradient_of_sum(linear->weight, uses(), [&](const auto&) {
    return linear(here::ones({1, 1}));
  });
  EXPECT_EQ(gradient.scalar_type(), at::kFloat);
  EXPECT_EQ(gradient.item<double>(), static_cast<double>(uses()));
}

TEST_P(WeightUses, OfALinearModuleWithABias) {
  torch::nn::Linear linear(1, 1);
  linear->to(test_device());
  own(linear->parameters());
  const auto autocast = region();
  gradient_of_sum(linear->weight, uses(), [&](const auto&) { return linear(here::ones({1, 1})); });
  EXPECT_EQ(linear->weight.grad().item<double>(), static_cast<double>(uses()));
  EXPECT_EQ(linear->bias.grad().item<double>(), static_cast<double>(uses()));
}

// Each of them uses the weight once a call, and gives each of its elements a gradient of one.
TEST_P(WeightUses, ByOtherOps) {
  const auto x = here::ones({1, 2});
  const auto image = here::ones({1, 2, 1, 1});
  const std::vector<std::pair<const char*, Use>> ops = {
      {"linear", [&](const auto& w) { return at::linear(x, w); }},
      {"mm", [&](const auto& w) { return at::mm(x, w); }},
      {"matmul from the left", [&](const auto& w) { return at::matmul(w, x.t()); }},
      {"the transposed view", [&](const auto& w) { return at::mm(x, w.t()); }},
      {"transpose", [&](const auto& w) { return at::mm(x, w.transpose(0, 1)); }},
      {"one row",
       [&](const auto& w) {
         return at::mm(x, w.slice(0, 0, 1).t()) + at::mm(x, w[1].unsqueeze(1));
       }},
      {"addmm", [&](const auto& w) { return at::addmm(here::zeros({2}), x, w.t()); }},
      {"bmm", [&](const auto& w) { return at::bmm(x.unsqueeze(0), w.unsqueeze(0)); }},
      {"conv2d",
       [&](const auto& w) {
         return at::conv2d(image, w.view({2, 2, 1, 1}));
       }},
      {"einsum",
       [&](const auto& w) {
         return at::einsum("bi,oi->bo", {x, w});
       }},
  };
  for (const auto& [name, use] : ops) {
    SCOPED_TRACE(name);
    const auto w = weight(here::full({2, 2}, 3));
    const auto autocast = region();
    const auto ones = static_cast<double>(uses());
    EXPECT_THAT(values(gradient_of_sum(w, uses(), use)), AreExactly(Values(4, ones)));
  }
}

TEST_P(WeightUses, OneTransposedViewForAllOfThem) {
  const auto w = weight(here::full({2, 3}, 3));
  const auto autocast = region();
  const auto view = w.t();
  const auto gradient = gradient_of_sum(w, uses(), [&](const auto&) {
    return at::mm(here::ones({1, 3}), view);
  });
  EXPECT_THAT(values(gradient), AreExactly(Values(6, static_cast<double>(uses()))));
}

TEST_P(WeightUses, OfAConvolution) {
  const auto w = weight(here::full({1, 1, 3, 3}, 1));
  const auto autocast = region();
  const auto x = here::ones({1, 1, 3, 3});
  const auto gradient =
      gradient_of_sum(w, uses(), [&](const auto& kernel) { return at::conv2d(x, kernel); });
  EXPECT_THAT(values(gradient), AreExactly(Values(9, static_cast<double>(uses()))));
}

TEST_P(WeightUses, AreOneCast) {
  const auto w = weight(here::full({2, 2}, 3));
  const CastLog log;
  {
    const auto autocast = region();
    gradient_of_sum(w, 100, [&](const auto& same) {
      return at::linear(here::ones({1, 2}, dtype()), same);
    });
  }
  std::int64_t casts = 0, served = 0;
  for (const auto& count : log.counts()) {
    if (count.op.find("linear") == std::string::npos) continue;
    casts += count.casts;
    served += count.served;
  }
  EXPECT_EQ(casts, 1);
  EXPECT_EQ(served, 99);
}

// f(w) = sum over n of (w x)^3 with w = 2 and x = 1: f' = 12 n, f'' = 12 n.
TEST_P(WeightUses, CanBeDifferentiatedTwice) {
  const auto w = weight(here::full({1, 1}, 2));
  const auto n = uses();
  auto sum = here::zeros({});
  {
    const auto autocast = region();
    for (std::int64_t i = 0; i < n; ++i)
      sum = sum + at::linear(here::ones({1, 1}), w).to(at::kFloat).pow(3).sum();
  }
  const auto first = torch::autograd::grad({sum}, {w}, {}, true, /*create_graph=*/true)[0];
  EXPECT_EQ(first.item<double>(), 12.0 * static_cast<double>(n));
  const auto second = torch::autograd::grad({first.sum()}, {w})[0];
  EXPECT_EQ(second.scalar_type(), at::kFloat);
  EXPECT_EQ(second.item<double>(), 12.0 * static_cast<double>(n));
}

TEST_P(WeightUses, RetainGraphAndASecondPassAddUp) {
  const auto w = weight(here::full({1, 1}, 2));
  auto sum = here::zeros({});
  {
    const auto autocast = region();
    for (std::int64_t i = 0; i < uses(); ++i)
      sum = sum + at::linear(here::ones({1, 1}), w).to(at::kFloat).sum();
  }
  sum.backward({}, /*retain_graph=*/true);
  const auto found = torch::autograd::grad({sum}, {w}, {}, /*retain_graph=*/true)[0];
  EXPECT_EQ(found.item<double>(), static_cast<double>(uses()));
  sum.backward();
  EXPECT_EQ(w.grad().item<double>(), 2.0 * static_cast<double>(uses()));
}

// A hook of the weight sees the sum, in the weight's dtype.
TEST_P(WeightUses, AHookOfTheWeightSeesTheSumOnce) {
  const auto w = weight(here::full({1, 1}, 2));
  std::vector<at::Tensor> seen;
  w.register_hook([&](const at::Tensor& gradient) { seen.push_back(gradient.clone()); });
  const auto autocast = region();
  gradient_of_sum(w, uses(), [&](const auto& same) {
    return at::linear(here::ones({1, 1}), same);
  });
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].scalar_type(), at::kFloat);
  EXPECT_EQ(seen[0].item<double>(), static_cast<double>(uses()));
}

// Two branches, and a region in the region.
TEST_P(WeightUses, InNestedRegions) {
  const auto w = weight(here::full({1, 1}, 2));
  const auto autocast = region();
  const auto gradient = gradient_of_sum(w, uses(), [&](const auto& same) {
    const auto inner = region();
    return at::linear(here::ones({1, 1}), same);
  });
  EXPECT_EQ(gradient.item<double>(), static_cast<double>(uses()));
}

struct Tied : torch::nn::Module {
  Tied() {
    const auto index = here::arange(64 * 16, at::kFloat);
    table = register_parameter("table", (index.view({64, 16}) * 0.37).sin() * 0.2);
  }
  at::Tensor loss(const at::Tensor& tokens) const {
    const auto h = at::tanh(at::embedding(table, tokens));
    return at::linear(h, table).to(at::kFloat).log_softmax(-1).select(-1, 3).mean();
  }
  at::Tensor table;
};

// The gradient, relative to double precision.
double error(const at::Tensor& gradient, const at::Tensor& exact) {
  return ((gradient.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// An embedding that is the output layer as well, in chunks: as near to double as one rounding of each
// chunk's share, and not of their sum.
TEST_P(WeightUses, OfATiedEmbeddingInChunks) {
  Tied model;
  own({model.table});
  const auto tokens = here::arange(64 * 40, at::kLong).remainder(61).view({64, 40});
  const auto run = [&](Tied& net) {
    auto sum = here::zeros({});
    for (const auto& chunk : tokens.unbind(0)) sum = sum + net.loss(chunk).to(at::kFloat);
    sum.backward();
  };
  Tied wide;
  wide.to(at::kDouble);
  run(wide);
  {
    const auto autocast = region();
    run(model);
  }
  EXPECT_EQ(model.table.grad().scalar_type(), at::kFloat);
  EXPECT_LT(error(model.table.grad(), wide.table.grad()), dtype() == at::kHalf ? 0.002 : 0.012);
}

// A cell that a loop calls: every step uses the same four parameters.
TEST_P(WeightUses, OfACellInALoop) {
  at::manual_seed(3);
  torch::nn::GRUCell cell(8, 8);
  cell->to(test_device());
  auto wide = std::dynamic_pointer_cast<torch::nn::GRUCellImpl>(cell->clone());
  wide->to(at::kDouble);
  own(cell->parameters());
  const auto xs = (here::arange(400 * 8, at::kFloat) * 0.61).sin().view({400, 1, 8});
  const auto run = [&](torch::nn::GRUCellImpl& net, c10::ScalarType of_states) {
    auto h = here::zeros({1, 8}, of_states);
    auto sum = here::zeros({}, of_states == at::kDouble ? at::kDouble : at::kFloat);
    for (const auto& x : xs.unbind(0)) {
      h = net.forward(x.to(of_states), h);
      sum = sum + h.to(sum.scalar_type()).sum();
    }
    sum.backward();
  };
  run(*wide, at::kDouble);
  {
    const auto autocast = region();
    run(*cell, at::kFloat);
  }
  const auto exact = wide->named_parameters();
  for (const auto& item : cell->named_parameters())
    EXPECT_LT(error(item.value().grad(), exact[item.key()].grad()),
              dtype() == at::kHalf ? 0.004 : 0.03)
        << item.key();
}

INSTANTIATE_TEST_SUITE_P(All, WeightUses,
                         testing::Combine(testing::Values("torch", "fast", "unified"),
                                          testing::Values(at::kBFloat16, at::kHalf),
                                          testing::Values(Owner::none, Owner::ours)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)) + "_" +
                                  c10::toString(std::get<1>(param.param)) +
                                  (std::get<2>(param.param) == Owner::ours ? "_owned" : "");
                         });

// A weight that is used once has the gradient of a cast of its own, bit for bit.
TEST(WeightUse, OneKeepsItsBits) {
  at::manual_seed(5);
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const auto x = here::randn({7, 5}), up = here::randn({7, 6});
    const auto values_of_w = here::randn({6, 5});
    const auto gradient = [&](bool keeps) {
      const auto w = values_of_w.clone().requires_grad_();
      at::Tensor y;
      {
        const Autocast autocast(kHere, dtype, {.cache_enabled = keeps});
        y = at::addmm(here::ones({6}), x, w.t());
      }
      y.backward(up.to(dtype));
      return w.grad();
    };
    EXPECT_THAT(gradient(true), IsIdenticalTo(gradient(false)));
  }
}

// Rounded operands are fp32, and so are the sums of their gradients.
TEST(WeightUse, EmulatedFormatsAddUpInFp32) {
  for (const auto format : {Format::bf16, Format::e4m3}) {
    auto w = here::full({1, 1}, 2.0).requires_grad_();
    auto sum = here::zeros({});
    {
      const Autocast autocast(kHere, {},
                              {.emulate = Emulation{.forward = format, .backward = format}});
      for (int i = 0; i < 5000; ++i) sum = sum + at::linear(here::ones({1, 1}), w).sum();
    }
    sum.backward();
    EXPECT_EQ(w.grad().item<double>(), 5000.0);
  }
}

// Some ops give back what they were given: whoever writes there must not write into the cast.
TEST(WeightUse, AWriteIntoAResultThatIsTheCastIsNotSeenByTheNextUse) {
  for (const bool owned : {false, true}) {
    auto w = here::full({2, 2}, 3.0).requires_grad_();
    std::unique_ptr<optim::SGD> owner;
    if (owned) owner = std::make_unique<optim::SGD>(std::vector{w}, optim::SGDOptions{.lr = 0.1});
    const c10::NoGradGuard no_grad;
    for (int region = 0; region < 2; ++region) {
      const Autocast autocast(kHere, at::kBFloat16, {.policy = OpPolicy::unified()});
      at::einsum("ij->ji", {w}).mul_(2);
      EXPECT_EQ(at::mm(here::ones({1, 2}), w)[0][0].item<double>(), 6.0);
    }
  }
}

}  // namespace
}  // namespace amp::tests::weight_uses_test
