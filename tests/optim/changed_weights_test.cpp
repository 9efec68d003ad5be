// Weights that are changed behind their optimizer, a few elements of them and without a new version:
// seen before the next forward pass or step, whatever the optimizer, the dtype, the size and the way.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>

#include "amp/apex.h"
#include "amp/autocast.h"
#include "amp/cast_log.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "amp/weight_checks.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"

namespace amp::tests::changed_weights_test {
namespace {

using Optimizer = std::unique_ptr<torch::optim::Optimizer>;

Optimizer optimizer_of(const std::string& name, std::vector<at::Tensor> parameters) {
  if (name == "SGD")
    return std::make_unique<optim::SGD>(std::move(parameters), optim::SGDOptions{.lr = 0.125});
  if (name == "Lamb")
    return std::make_unique<optim::Lamb>(std::move(parameters), optim::LambOptions{.lr = 0.01});
  return std::make_unique<optim::AdamW>(std::move(parameters), optim::AdamWOptions{.lr = 0.01});
}

// In place and without a new version.
struct Way {
  const char* name;
  std::function<void(at::Tensor&)> change;
};
const std::vector<Way> kWays = {
    {"one row", [](at::Tensor& w) { w.data()[w.size(0) / 2].zero_(); }},
    {"clamp", [](at::Tensor& w) { w.data().clamp_max_(w.data().max().item<float>() * 0.5); }},
    {"one element", [](at::Tensor& w) { w.data().view(-1)[w.numel() * 3 / 7] += 64; }},
    {"the last by pointer", [](at::Tensor& w) { w.data_ptr<float>()[w.numel() - 1] += 64; }},
    {"the second by pointer", [](at::Tensor& w) { w.data_ptr<float>()[w.numel() > 1] -= 64; }},
    {"a NaN", [](at::Tensor& w) { w.data_ptr<float>()[w.numel() / 3] = NAN; }},
    {"a zero and its sign",
     [](at::Tensor& w) {
       auto& element = w.data_ptr<float>()[w.numel() / 3];
       element = element == 0 && !std::signbit(element) ? -0.0F : 0.0F;
     }},
};

class ChangedWeights : public testing::TestWithParam<std::tuple<const char*, c10::ScalarType>> {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "to look at a device's weights would be to wait";
  }
  static std::string optimizer() { return std::get<0>(GetParam()); }
  static c10::ScalarType dtype() { return std::get<1>(GetParam()); }

  static at::Tensor forward(const at::Tensor& w) {
    const c10::NoGradGuard no_grad;
    const Autocast autocast(kHere, dtype());
    return at::mm(here::ones({1, w.size(0)}), w);
  }
  static at::Tensor by_cast(const at::Tensor& w) {
    return at::mm(here::ones({1, w.size(0)}, dtype()), w.detach().to(dtype()));
  }
};
INSTANTIATE_TEST_SUITE_P(All, ChangedWeights,
                         testing::Combine(testing::Values("AdamW", "SGD", "Lamb"),
                                          testing::Values(at::kBFloat16, at::kHalf)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)) + "_" +
                                  c10::toString(std::get<1>(param.param));
                         });

TEST_P(ChangedWeights, OfAnySizeAndInAnyWayAreSeenByTheNextRegion) {
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{
           {1, 1}, {1, 31}, {3, 11}, {64, 64}, {257, 129}, {1000, 1000}}) {
    for (const auto& [name, change] : kWays) {
      SCOPED_TRACE(std::string(name) + " of " + std::to_string(shape[0]) + " rows");
      auto w = ((here::arange(shape[0] * shape[1], at::kFloat) * 0.7).sin() + 2)
                   .reshape(shape)
                   .clone()
                   .requires_grad_();
      const auto owner = optimizer_of(optimizer(), {w});
      forward(w);
      w.mutable_grad() = at::full_like(w.detach(), 0.37);
      owner->step();
      EXPECT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
      for (int again = 0; again < 2; ++again) {
        change(w);
        ASSERT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
      }
      ASSERT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
      w.mutable_grad() = at::full_like(w.detach(), 0.37);
      owner->step();
      ASSERT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
    }
  }
}

// Pruning after every step: a row that is zero at each forward pass trains as if it were not there.
TEST_P(ChangedWeights, OfATrainStepAreSeenByTheNextMicroBatch) {
  MlpImpl model;
  auto owner = optimizer_of(optimizer(), model.parameters());
  auto recipe = Recipe::bf16();
  recipe.compute_dtype = dtype();
  recipe.accumulation = 2;
  TrainStep train_step(model, *owner, recipe);
  const auto data = batch(0);
  auto weight = model.first->weight;
  for (const bool outer : {false, true}) {
    std::optional<Autocast> region;
    if (outer) region.emplace(kHere, dtype(), AutocastOptions{.policy = OpPolicy::fast(kHere)});
    for (int i = 0; i < 20; ++i) {
      at::Tensor hidden;
      train_step([&] {
        hidden = model.first->forward(data.inputs);
        return loss_of(model, data);
      });
      const auto wanted = at::linear(data.inputs.to(dtype()), weight.detach().to(dtype()),
                                     model.first->bias.detach().to(dtype()));
      if (i % 2 == 0) {  // no step since
        EXPECT_THAT(hidden.detach(), IsIdenticalTo(wanted)) << i;
      }
      weight.data()[i % weight.size(0)].zero_();
      at::Tensor after;
      {
        const c10::NoGradGuard no_grad;
        const Autocast evaluation(kHere, dtype());
        if (!outer) after = model.first->forward(data.inputs);
      }
      if (!outer) {
        EXPECT_THAT(after,
                    IsIdenticalTo(at::linear(data.inputs.to(dtype()), weight.detach().to(dtype()),
                                             model.first->bias.detach().to(dtype()))))
            << i;
      }
    }
  }
}

TEST_P(ChangedWeights, OfAChannelsLastConvolution) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(6, 8, 3).bias(false));
  auto weight = conv->weight;
  weight.set_data(weight.detach().to(at::kFloat, false, true, at::MemoryFormat::ChannelsLast));
  const auto owner = optimizer_of(optimizer(), {weight});
  const auto x = here::linspace(-1, 1, 6 * 25).reshape({1, 6, 5, 5});
  const auto run = [&] {
    const c10::NoGradGuard no_grad;
    const Autocast autocast(kHere, dtype());
    return conv(x);
  };
  const auto by_cast_here = [&] { return at::conv2d(x.to(dtype()), weight.detach().to(dtype())); };
  run();
  weight.mutable_grad() = at::full_like(weight.detach(), 0.37);
  owner->step();
  EXPECT_THAT(run(), IsIdenticalTo(by_cast_here()));
  weight.data()[5][3][1][2] += 8;
  EXPECT_THAT(run(), IsIdenticalTo(by_cast_here()));
  weight.data().select(1, 2).zero_();
  EXPECT_THAT(run(), IsIdenticalTo(by_cast_here()));
}

// Rows of a larger tensor, with holes between them, and a weight whose columns lie one after another.
TEST_P(ChangedWeights, OfWeightsThatAreNotContiguous) {
  const auto memory = ((here::arange(40 * 50, at::kFloat) * 0.7).sin() + 2).reshape({40, 50});
  auto w = memory.t().detach();
  w.requires_grad_();
  const auto owner = optimizer_of(optimizer(), {w});
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
    w.data()[i + 5][i * 2] += 32;
    ASSERT_THAT(forward(w), IsIdenticalTo(by_cast(w)));
    w.mutable_grad() = at::full_like(w.detach(), 0.37);
    owner->step();
  }
}

// A change in one region, seen by an op: through the dispatcher, on the weight itself.
TEST_P(ChangedWeights, InOneRegionByAnOpOnTheWeight) {
  auto w = here::full({64, 64}, 2.0).requires_grad_();
  const auto owner = optimizer_of(optimizer(), {w});
  const c10::NoGradGuard no_grad;
  const Autocast autocast(kHere, dtype());
  const auto sum = [&] { return at::mm(here::ones({1, 64}), w)[0][1].item<double>(); };
  EXPECT_EQ(sum(), 128.0);
  w[0][1] = 4;
  EXPECT_EQ(sum(), 130.0);
  w.index_put_({at::tensor({3}, at::kLong), at::tensor({1}, at::kLong)}, at::tensor(8.0F));
  EXPECT_EQ(sum(), 136.0);
}

// The region of an Apex handle lasts as long as the handle: a scale_loss scope ends what was known.
TEST_P(ChangedWeights, UnderAnApexHandle) {
  torch::nn::Linear linear(torch::nn::LinearOptions(64, 64).bias(false));
  const auto owner = optimizer_of(optimizer(), linear->parameters());
  auto handle = initialize(*linear, *owner, "O1");
  const auto low = autocast_dtype(kHere);
  const auto x = here::ones({1, 64});
  for (int i = 0; i < 4; ++i) {
    const auto wanted = at::mm(x.to(low), linear->weight.detach().to(low).t());
    const auto y = linear(x);
    ASSERT_THAT(y.detach(), IsIdenticalTo(wanted)) << i;
    {
      auto scaled = handle.scale_loss(y.to(at::kFloat).mean(), *owner);
      scaled->backward();
    }
    owner->step();
    owner->zero_grad();
    linear->weight.data()[i][i + 3] += 16;
  }
}

// Threads with regions of their own share a model; the change was made before they began.
TEST_P(ChangedWeights, AreSeenByEveryThread) {
  auto w = here::full({64, 64}, 2.0).requires_grad_();
  const auto owner = optimizer_of(optimizer(), {w});
  forward(w);
  std::atomic<int> wrong = 0;
  for (int round = 0; round < 20; ++round) {
    w.data()[round][7] = 66.0F;
    const auto wanted = 128.0 + 64 * (round + 1);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] { wrong += forward(w)[0][7].item<double>() != wanted; });
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

std::int64_t casts_of(const std::function<void()>& run) {
  const CastLog log;
  run();
  std::int64_t casts = 0;
  for (const auto& count : log.counts()) casts += count.casts;
  return casts;
}

// What did not change is not cast again, whatever payloads its NaNs have.
TEST_P(ChangedWeights, NothingIsCastThatDidNotChange) {
  auto w = here::full({64, 64}, 2.0).requires_grad_();
  const auto owner = optimizer_of(optimizer(), {w});
  forward(w);
  w.mutable_grad() = at::full_like(w.detach(), 0.37);
  w.mutable_grad()[3][3] = NAN;
  owner->step();
  const auto x = here::ones({1, 64}, dtype());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(casts_of([&] {
                const Autocast autocast(kHere, dtype());
                at::mm(x, w);
                at::mm(x, w);
              }),
              0);
  }
}

struct Trusting {
  Trusting() { set_weight_checks(WeightChecks::trusting); }
  ~Trusting() { set_weight_checks(WeightChecks::whole); }
};

TEST(WeightChecksOption, IsWholeByDefault_AndTrustingWhenAsked) {
  EXPECT_EQ(weight_checks(), WeightChecks::whole);
  const Trusting trusting;
  EXPECT_EQ(weight_checks(), WeightChecks::trusting);
}

// --- parameters that are bf16 or fp16 themselves, and their masters ---

class ChangedLowWeights : public ChangedWeights {};
INSTANTIATE_TEST_SUITE_P(All, ChangedLowWeights,
                         testing::Combine(testing::Values("AdamW", "SGD", "Lamb"),
                                          testing::Values(at::kBFloat16, at::kHalf)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)) + "_" +
                                  c10::toString(std::get<1>(param.param));
                         });

// Steps that leave a weight where it is, after some that did not.
TEST_P(ChangedLowWeights, TheMasterFollowsAChangeWithoutATrace) {
  for (const auto form : {optim::LowPrecisionWeights::master, optim::LowPrecisionWeights::split,
                          optim::LowPrecisionWeights::kahan}) {
    if (form == optim::LowPrecisionWeights::split && dtype() == at::kHalf) continue;
    SCOPED_TRACE(static_cast<int>(form));
    const optim::MemoryOptions memory{.weights = form};
    auto w = ((here::arange(300 * 40, at::kFloat) * 0.7).sin() * 100 + 250)
                 .reshape({300, 40})
                 .to(dtype())
                 .requires_grad_();
    const auto make = [&]() -> Optimizer {
      const std::vector parameters{w};
      if (optimizer() == "AdamW")
        return std::make_unique<optim::AdamW>(
            parameters, optim::AdamWOptions{.lr = 0.3, .weight_decay = 0, .memory = memory});
      if (optimizer() == "Lamb")
        return std::make_unique<optim::Lamb>(
            parameters, optim::LambOptions{.lr = 0.003, .weight_decay = 0, .memory = memory});
      return std::make_unique<optim::SGD>(parameters,
                                          optim::SGDOptions{.lr = 0.3, .memory = memory});
    };
    const auto owner = make();
    const auto step = [&] {
      w.mutable_grad() = at::full_like(w.detach(), 0.73);
      owner->step();
    };
    for (int i = 0; i < 3; ++i) step();
    owner->param_groups()[0].options().set_lr(0);
    const std::vector<std::function<void()>> changes = {
        [&] { w.data()[17].zero_(); },
        [&] { w.data()[201][3] = 0x1p-14; },
        [&] { w.data().slice(0, 40, 60).fill_(-0.0); },
        [&] { static_cast<std::uint16_t*>(w.data_ptr())[777] = 0x4000; },
        [&] { w.data().slice(0, 100, 110).mul_(1.0 / 1024); },
    };
    for (const auto& change : changes) {
      change();
      const auto wanted = w.detach().clone();
      step();
      // A weight half-way between two may go to the other.
      const double ulp = form == optim::LowPrecisionWeights::kahan ? 0.008 : 0;
      EXPECT_TRUE(at::allclose(w.detach().to(at::kDouble), wanted.to(at::kDouble), ulp, 0));
    }
  }
}

}  // namespace
}  // namespace amp::tests::changed_weights_test
