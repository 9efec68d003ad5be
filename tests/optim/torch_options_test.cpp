// What a user of torch::optim types: lists of groups, torch's own options, a bare learning rate, and
// schedulers that cast the options of a group to torch's type.
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <sstream>

#include "amp/error.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::torch_options_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;
using torch::optim::OptimizerParamGroup;

template <typename Ours, typename Torchs, typename Options>
struct Twin {
  using Optimizer = Ours;
  using Torch = Torchs;
  using TorchOptions = Options;
};
using Twins = testing::Types<Twin<optim::SGD, torch::optim::SGD, torch::optim::SGDOptions>,
                             Twin<optim::Adam, torch::optim::Adam, torch::optim::AdamOptions>,
                             Twin<optim::AdamW, torch::optim::AdamW, torch::optim::AdamWOptions>>;

template <typename Kind>
class TorchOptions : public testing::Test {
 protected:
  using Ours = typename Kind::Optimizer;
  using Theirs = typename Kind::Torch;
  using TheirOptions = typename Kind::TorchOptions;

  // Not the defaults, any of them.
  static TheirOptions uncommon() {
    TheirOptions options(0.05);
    options.weight_decay(0.02);
    if constexpr (requires { options.momentum(); }) options.momentum(0.75).nesterov(true);
    if constexpr (requires { options.eps(); }) options.eps(1e-3).betas({0.8, 0.95}).amsgrad(true);
    return options;
  }

  static std::vector<OptimizerParamGroup> groups(const at::Tensor& first,
                                                 const at::Tensor& second) {
    std::vector<OptimizerParamGroup> groups;
    groups.emplace_back(std::vector<at::Tensor>{first});
    groups.emplace_back(std::vector<at::Tensor>{second},
                        std::make_unique<TheirOptions>(uncommon()));
    return groups;
  }

  // Five steps of ours and of torch's, with change(optimizer, step) before each.
  template <typename Change>
  static void expect_alike(Ours& ours, Theirs& torchs, const Change& change) {
    for (std::int64_t step = 0; step < 5; ++step) {
      change(ours, step);
      change(torchs, step);
      for (std::size_t g = 0; g < ours.param_groups().size(); ++g) {
        auto& own = ours.param_groups()[g].params()[0];
        auto& other = torchs.param_groups()[g].params()[0];
        own.mutable_grad() = gradient_of_step(step, own.sizes());
        other.mutable_grad() = gradient_of_step(step, own.sizes());
      }
      ours.step();
      torchs.step();
      for (std::size_t g = 0; g < ours.param_groups().size(); ++g)
        EXPECT_THAT(values(ours.param_groups()[g].params()[0]),
                    AreWithin(2e-6, values(torchs.param_groups()[g].params()[0])))
            << "step " << step << ", group " << g;
    }
  }
  static void unchanged(torch::optim::Optimizer&, std::int64_t) {}
};
TYPED_TEST_SUITE(TorchOptions, Twins);

TYPED_TEST(TorchOptions, OptimizersAreMadeOfThem) {
  auto weight = trained({9}), twin = trained({9});
  typename TypeParam::Optimizer ours({weight}, TestFixture::uncommon());
  typename TypeParam::Torch torchs({twin}, TestFixture::uncommon());
  this->expect_alike(ours, torchs, TestFixture::unchanged);
}

TYPED_TEST(TorchOptions, OptimizersAreMadeOfLists) {
  auto a = trained({5}), b = trained({7}), c = trained({5}), d = trained({7});
  typename TypeParam::Optimizer ours(TestFixture::groups(a, b),
                                     typename TypeParam::TorchOptions(0.25));
  typename TypeParam::Torch torchs(TestFixture::groups(c, d),
                                   typename TypeParam::TorchOptions(0.25));
  EXPECT_EQ(ours.options(0).lr, 0.25);
  EXPECT_EQ(ours.options(1).lr, 0.05);
  this->expect_alike(ours, torchs, TestFixture::unchanged);
}

TYPED_TEST(TorchOptions, ABareLearningRateLeavesTheDefaults) {
  using Optimizer = typename TypeParam::Optimizer;
  const auto weight = trained({2});
  const auto parameters = std::vector<at::Tensor>{weight};
  EXPECT_EQ(Optimizer(parameters, 0.5).options().lr, 0.5);
  EXPECT_EQ(Optimizer({weight}, 0.5F).options().lr, 0.5);
  EXPECT_EQ(Optimizer(parameters, 1).options().lr, 1);
  EXPECT_EQ(Optimizer(parameters, 0.5).options().weight_decay,
            Optimizer(parameters).options().weight_decay);
  EXPECT_EQ(Optimizer(TestFixture::groups(weight, trained({1})), 0.5).options().lr, 0.5);
  EXPECT_EQ(Optimizer(TestFixture::groups(weight, trained({1}))).options().lr, 1e-3);
  EXPECT_EQ(Optimizer(TestFixture::groups(weight, trained({1})), {.lr = 0.5}).options().lr, 0.5);
  EXPECT_EQ(Optimizer({OptimizerParamGroup(parameters)}, 0.5).options().lr, 0.5);
  EXPECT_EQ(Optimizer(parameters, {}).options().lr, 1e-3) << "no learning rate of 0";
  EXPECT_EQ(Optimizer(parameters, {.lr = 0.5}).options().lr, 0.5);
}

TYPED_TEST(TorchOptions, AWriteThroughTorchsTypeIsInForce) {
  auto weight = trained({9}), twin = trained({9});
  typename TypeParam::Optimizer ours({weight}, TestFixture::uncommon());
  typename TypeParam::Torch torchs({twin}, TestFixture::uncommon());
  this->expect_alike(ours, torchs, [](torch::optim::Optimizer& optimizer, std::int64_t step) {
    using Options = typename TypeParam::TorchOptions;
    for (auto& group : optimizer.param_groups()) {
      auto& options = static_cast<Options&>(group.options());
      options.lr(options.lr() * 0.5);
      if (step == 3) options.weight_decay(0);
    }
  });
  EXPECT_EQ(ours.options().lr, 0.05 / 32);
  EXPECT_EQ(ours.options().weight_decay, 0);
  EXPECT_EQ(ours.param_groups()[0].options().get_lr(), 0.05 / 32);
}

TYPED_TEST(TorchOptions, WhatIsWrittenByOurOwnIsReadThroughTorchsType) {
  using Options = typename TypeParam::TorchOptions;
  const auto weight = trained({2});
  typename TypeParam::Optimizer optimizer({weight}, 0.5);
  auto& seen = static_cast<Options&>(optimizer.param_groups()[0].options());
  EXPECT_EQ(seen.lr(), 0.5);
  auto options = optimizer.options();
  options.lr = 0.25;
  options.weight_decay = 0.125;
  optimizer.set_options(options);
  EXPECT_EQ(seen.lr(), 0.25);
  EXPECT_EQ(seen.weight_decay(), 0.125);
  seen.set_lr(0.75);
  EXPECT_EQ(optimizer.options().lr, 0.75);
  EXPECT_EQ(dynamic_cast<Options&>(optimizer.defaults()).lr(), 0.5);
}

TYPED_TEST(TorchOptions, AValueOutOfRangeIsRefusedAtTheStepAndNothingChanges) {
  using Options = typename TypeParam::TorchOptions;
  auto weight = trained({3});
  typename TypeParam::Optimizer optimizer({weight}, 0.5);
  weight.mutable_grad() = gradient_of_step(0, {3});
  auto& options = static_cast<Options&>(optimizer.param_groups()[0].options());
  options.lr(-1.0);
  EXPECT_THAT([&] { optimizer.step(); },
              ThrowsMessage<InvalidArgument>(AllOf(HasSubstr("group 0"), HasSubstr("lr must be"))));
  EXPECT_TRUE(identical(weight, weights_like({3})));
  options.lr(0.25);
  EXPECT_NO_THROW(optimizer.step());
  EXPECT_FALSE(identical(weight, weights_like({3})));
}

TYPED_TEST(TorchOptions, GroupsAreAddedAndReplacedWithThem) {
  using Options = typename TypeParam::TorchOptions;
  auto first = trained({2}), second = trained({3}), third = trained({2});
  optim::MemoryOptions memory{.seed = 7};
  typename TypeParam::Optimizer optimizer({first}, {.lr = 0.5, .memory = memory});
  optimizer.add_param_group(OptimizerParamGroup({second}, std::make_unique<Options>(0.25)));
  torch::optim::Optimizer& base = optimizer;  // its add_param_group is not virtual
  base.add_param_group(OptimizerParamGroup({third}, std::make_unique<Options>(0.125)));
  EXPECT_EQ(optimizer.options(1).lr, 0.25);
  EXPECT_EQ(optimizer.options(2).lr, 0.125);
  optimizer.param_groups()[0].set_options(std::make_unique<Options>(0.75));
  EXPECT_EQ(optimizer.options(0).lr, 0.75);
  EXPECT_EQ(optimizer.options(0).memory.seed, 7U) << "the memory options stay";
  EXPECT_EQ(optimizer.options(2).memory.seed, 7U) << "those of the defaults";
  for (auto* weight : {&first, &second, &third})
    weight->mutable_grad() = gradient_of_step(0, weight->sizes());
  EXPECT_NO_THROW(optimizer.step());
}

TYPED_TEST(TorchOptions, SchedulersOfTorchAdvanceThem) {
  const auto weight = trained({2});
  typename TypeParam::Optimizer optimizer({weight}, typename TypeParam::TorchOptions(0.5));
  torch::optim::StepLR scheduler(optimizer, /*step_size=*/2, /*gamma=*/0.5);
  for (const double lr : {0.5, 0.5, 0.25, 0.25, 0.125}) {
    scheduler.step();
    EXPECT_EQ(optimizer.options().lr, lr);
  }
  torch::optim::ReduceLROnPlateauScheduler plateau(
      optimizer, torch::optim::ReduceLROnPlateauScheduler::min, 0.5F, /*patience=*/0);
  plateau.step(1.0F);
  plateau.step(2.0F);
  EXPECT_EQ(optimizer.options().lr, 0.0625);
}

TYPED_TEST(TorchOptions, TheyAreSavedAndLoaded) {
  using Options = typename TypeParam::TorchOptions;
  auto weight = trained({3}), other = trained({3});
  typename TypeParam::Optimizer optimizer({weight}, TestFixture::uncommon());
  weight.mutable_grad() = gradient_of_step(0, {3});
  optimizer.step();
  static_cast<Options&>(optimizer.param_groups()[0].options()).lr(0.03125);
  std::stringstream file;
  torch::save(optimizer, file);
  typename TypeParam::Optimizer loaded({other}, 0.5);
  torch::load(loaded, file);
  EXPECT_EQ(loaded.options().lr, 0.03125);
  EXPECT_EQ(loaded.options().weight_decay, 0.02);
  EXPECT_EQ(static_cast<Options&>(loaded.param_groups()[0].options()).lr(), 0.03125);
  EXPECT_EQ(static_cast<Options&>(loaded.param_groups()[0].options()).weight_decay(), 0.02);
}

TEST(Groups, OptionsOfAnotherAlgorithmAreRefusedByName) {
  const auto weight = trained({2});
  const std::vector<OptimizerParamGroup> groups = {
      OptimizerParamGroup({weight}, std::make_unique<torch::optim::AdamOptions>(0.1))};
  const auto refusal = ThrowsMessage<InvalidArgument>(
      AllOf(HasSubstr("group 0"), HasSubstr("torch::optim::AdamOptions")));
  EXPECT_THAT([&] { optim::AdamW optimizer(groups); }, refusal);
  EXPECT_THAT([&] { optim::SGD optimizer(groups); }, refusal);
  EXPECT_THAT([&] { optim::Lamb optimizer(groups); }, refusal);
}

// torch::optim has no LAMB: its groups pass for AdamW's, but for amsgrad.
TEST(Groups, LambsPassForAdamWs) {
  const auto weight = trained({2});
  optim::Lamb optimizer({weight}, torch::optim::AdamWOptions(0.5).eps(1e-4).betas({0.8, 0.9}));
  EXPECT_EQ(optimizer.options().lr, 0.5);
  EXPECT_EQ(optimizer.options().eps, 1e-4);
  EXPECT_EQ(optimizer.options().betas[1], 0.9);
  EXPECT_TRUE(optimizer.options().bias_correction);
  auto& seen = static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups()[0].options());
  seen.lr(0.25);
  EXPECT_EQ(optimizer.options().lr, 0.25);
  seen.amsgrad(true);
  EXPECT_THAT([&] { optimizer.step(); },
              ThrowsMessage<InvalidArgument>(HasSubstr("amsgrad must be false")));
}

}  // namespace
}  // namespace amp::tests::torch_options_test
