// The levels: what each sees, what it installs, and that none changes a value.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <limits>
#include <tuple>

#include "tests/inspect/models.h"

namespace amp::tests::levels_test {
namespace {

using testing::ElementsAre;

TEST(Levels, CallbacksAreInstalledInRecordedStepsAlone) {
  auto net = make_net();
  Inspector inspector(*net, {.level = InspectLevel::sampled, .every = 3});
  for (int step = 0; step < 7; ++step) {
    EXPECT_FALSE(at::hasThreadLocalCallbacks());
    inspector.begin_step(step);
    EXPECT_EQ(inspector.recording(), step % 3 == 0) << step;
    EXPECT_EQ(at::hasThreadLocalCallbacks(), step % 3 == 0) << step;
    net->forward(rows(step).inputs).sum().backward();
    inspector.end_step();
  }
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
  EXPECT_EQ(inspector.evidence().steps.size(), 7u);
}

TEST(Levels, OffSeesNothing) {
  auto net = make_net();
  Inspector inspector(*net, {.level = InspectLevel::off});
  inspector.begin_step(0);
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
  inspector.end_step(true);
  EXPECT_TRUE(inspector.evidence().steps.empty());
  EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean);
}

// The gradient of head.0's weight alone is Inf: through a factor that only it meets.
at::Tensor overflowing_loss(NetImpl& net, std::int64_t step) {
  const auto [inputs, classes] = rows(step);
  const auto& weight = net.parameters()[10];
  const auto nothing = (weight - weight.detach()).sum();
  return loss_of(net.forward(inputs), classes) + nothing * (step == 2 ? 1e36 : 0.0);
}

template <typename Optimizer, typename Options>
void expect_culprit(Options options) {
  auto net = make_net();
  Optimizer optimizer(net->parameters(), options);
  Inspector inspector(*net, {.level = InspectLevel::steps});
  TrainStep train_step(*net, optimizer, fixed_fp16(65536));
  for (int step = 0; step < 4; ++step) {
    inspector.begin_step(step, train_step.scaler().get_scale());
    EXPECT_FALSE(at::hasThreadLocalCallbacks());
    const auto report = train_step([&] { return overflowing_loss(*net, step); });
    EXPECT_EQ(report.skipped(), step == 2);
    inspector.end_step(report);
  }
  const auto found = inspector.first_non_finite();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->step, 2);
  EXPECT_EQ(found->parameter, "head.0.weight");
  EXPECT_THAT(found->culprits, ElementsAre("head.0.weight"));
  EXPECT_EQ(found->loss_scale, 65536);
  EXPECT_EQ(inspector.diagnosis().parameter, "");  // recovered: one skip is no fault
}

TEST(Levels, StepsNamesTheParameterOfASkip) {
  expect_culprit<optim::Adam>(optim::AdamOptions{.lr = 0.01});
  expect_culprit<torch::optim::Adam>(torch::optim::AdamOptions(0.01));
}

struct Case {
  const char* name;
  Recipe recipe;
  bool stock;
};

std::vector<Values> trained(InspectLevel level, const Case& given) {
  auto net = make_net();
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  if (given.stock)
    optimizer =
        std::make_unique<torch::optim::Adam>(net->parameters(), torch::optim::AdamOptions(0.01));
  else
    optimizer = std::make_unique<optim::Adam>(net->parameters(), optim::AdamOptions{.lr = 0.01});
  Inspector inspector(*net, {.level = level, .every = 2, .flush_every = 1});
  std::vector<Values> result;
  TrainStep train_step(*net, *optimizer, given.recipe);
  for (int step = 0; step < 8; ++step) {
    inspector.begin_step(step, train_step.scaler().get_scale());
    const auto report = train_step([&] {
      const auto [inputs, classes] = rows(step);
      auto hidden = at::dropout(net->in(inputs), 0.3, true);  // draws random numbers
      return loss_of(net->head->forward(net->attention(hidden.relu_())), classes);
    });
    result.push_back(values(report.loss()));
    inspector.end_step(report);
  }
  for (const auto& weight : net->parameters()) result.push_back(values(weight));
  return result;
}

TEST(Levels, NoneChangesAValue) {
  auto accumulating = Recipe::bf16();
  accumulating.accumulation = 2;
  accumulating.max_grad_norm = 0.5;
  auto too_large = Recipe::fp16();
  too_large.scaler.init_scale = 0x1p34;
  for (const Case& given :
       {Case{"fp32", Recipe::fp32(), true}, Case{"bf16", Recipe::bf16(), false},
        Case{"fp16", Recipe::fp16(), false}, Case{"fp16 stock", Recipe::fp16(), true},
        Case{"skips", too_large, false}, Case{"accumulating", accumulating, false},
        Case{"O2", Recipe::O2(), false}}) {
    const auto expected = trained(InspectLevel::off, given);
    for (const auto level : {InspectLevel::steps, InspectLevel::sampled, InspectLevel::full})
      EXPECT_EQ(trained(level, given), expected)
          << given.name << ", level " << static_cast<int>(level);
  }
}

TEST(Levels, AStepThatThrewIsEndedByTheNext) {
  auto net = make_net();
  Inspector inspector(*net);
  inspector.begin_step(0);
  EXPECT_ANY_THROW(net->forward(at::zeros({2, 5})));
  inspector.begin_step(1);
  net->forward(rows(1).inputs).sum().backward();
  inspector.end_step();
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
  EXPECT_EQ(inspector.evidence().steps.size(), 2u);
  EXPECT_FALSE(inspector.ops().empty());
}

TEST(Levels, WhatCannotBeIsRefused) {
  auto net = make_net();
  EXPECT_THROW(Inspector(*net, {.every = 0}), InvalidArgument);
  EXPECT_THROW(Inspector(*net, {.flush_every = -1}), InvalidArgument);
  EXPECT_THROW(Inspector(*net, {.history = 0}), InvalidArgument);
  Inspector inspector(*net);
  EXPECT_THROW(inspector.end_step(), StateError);
  EXPECT_THROW(inspector.begin_step(0, 0.0), InvalidArgument);
  EXPECT_THROW(inspector.begin_step(0, kNaN), InvalidArgument);
}

TEST(Levels, AModelWithoutParametersIsWatched) {
  torch::nn::ReLU relu;
  Inspector inspector(*relu);
  inspector.begin_step(0);
  relu->forward(at::ones({3}));
  inspector.end_step();
  EXPECT_TRUE(inspector.parameters().empty());
  EXPECT_EQ(inspector.ops().size(), 1u);
  EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean);
}

TEST(Levels, TheHistoryIsBounded) {
  auto net = make_net();
  Inspector inspector(*net, {.level = InspectLevel::steps, .history = 10});
  for (int step = 0; step < 1000; ++step) {
    inspector.begin_step(step);
    inspector.end_step();
  }
  EXPECT_LE(inspector.evidence().steps.size(), 20u);
  EXPECT_GE(inspector.evidence().steps.size(), 10u);
  EXPECT_EQ(inspector.evidence().steps.back().step, 999);
}

}  // namespace
}  // namespace amp::tests::levels_test
