// Saving and loading: bit for bit, and what is refused.
#include <torch/optim/adam.h>
#include <torch/serialize.h>

#include <sstream>

#include <c10/core/GradMode.h>

#include "amp/error.h"
#include "src/optim/aten_path.h"
#include "tests/optim/optimizers.h"

namespace amp::tests::state_test {
namespace {

using optim::LowPrecisionWeights;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const std::vector<std::int64_t> kShape = {3, 5};

template <typename Optimizer>
std::string saved(const Optimizer& optimizer) {
  std::ostringstream stream;
  torch::serialize::OutputArchive archive;
  archive << optimizer;
  archive.save_to(stream);
  return stream.str();
}

void load(torch::optim::Optimizer& optimizer, const std::string& bytes) {
  std::istringstream stream(bytes);
  torch::serialize::InputArchive archive;
  archive.load_from(stream);
  optimizer.load(archive);
}

// Two parameters, the second in bf16 and without a gradient in the first step.
template <typename Kind>
struct Run {
  using Options = typename Kind::Options;
  explicit Run(const Options& options) : optimizer({first, second}, options) {}
  void step(int i) {
    first.mutable_grad() = gradient_of_step(i, kShape);
    if (i > 0) second.mutable_grad() = gradient_of_step(i + 5, {4});
    optimizer.step();
  }
  at::Tensor first = trained(kShape), second = trained({4}, at::kBFloat16);
  typename Kind::Optimizer optimizer;
};

template <typename Kind>
class State : public testing::Test {};
TYPED_TEST_SUITE(State, AllKinds);

const std::vector<optim::MemoryOptions> kMemories = {
    {.weights = LowPrecisionWeights::master},
    {.weights = LowPrecisionWeights::split, .bf16_moments = true, .seed = ~std::uint64_t{0}},
    {.weights = LowPrecisionWeights::kahan},
    {.weights = LowPrecisionWeights::stochastic, .bf16_moments = true, .seed = 7},
    {.weights = LowPrecisionWeights::nearest}};

TYPED_TEST(State, ATrainingGoesOnBitForBit) {
  for (const auto path : optim::kPaths) {
    for (const auto& memory : kMemories) {
      const optim::ForceAtenPath forced(path);
      auto options = full_options<typename TypeParam::Options>(memory);
      Run<TypeParam> whole(options), continued(options);
      for (int i = 0; i < 3; ++i) whole.step(i);
      {
        c10::NoGradGuard no_grad;
        continued.first.copy_(whole.first);
        continued.second.copy_(whole.second);
      }
      load(continued.optimizer, saved(whole.optimizer));
      EXPECT_EQ(saved(continued.optimizer), saved(whole.optimizer));
      for (int i = 3; i < 6; ++i) {
        whole.step(i);
        continued.step(i);
      }
      EXPECT_TRUE(identical(continued.first, whole.first));
      EXPECT_TRUE(identical(continued.second, whole.second));
      EXPECT_TRUE(identical(continued.optimizer.fp32_weight(continued.second),
                            whole.optimizer.fp32_weight(whole.second)));
    }
  }
}

TYPED_TEST(State, OptionsAreRestored) {
  auto options = full_options<typename TypeParam::Options>();
  Run<TypeParam> run(options), other({});
  options.lr = 0.75;
  options.maximize = true;
  run.optimizer.set_options(options);
  load(other.optimizer, saved(run.optimizer));
  EXPECT_EQ(other.optimizer.options().lr, 0.75);
  EXPECT_EQ(other.optimizer.options().weight_decay, options.weight_decay);
  EXPECT_TRUE(other.optimizer.options().maximize);
}

TYPED_TEST(State, WhatDoesNotFitIsRefusedAndChangesNothing) {
  const auto options = full_options<typename TypeParam::Options>();
  Run<TypeParam> run(options);
  run.step(0);
  run.step(1);
  const auto before = saved(run.optimizer);
  const auto expect_refusal = [&](torch::optim::Optimizer& other, const char* rule) {
    const auto bytes = saved(other);
    EXPECT_THAT([&] { load(run.optimizer, bytes); },
                ThrowsMessage<InvalidArgument>(HasSubstr(rule)));
    EXPECT_EQ(saved(run.optimizer), before);
  };
  using Optimizer = typename TypeParam::Optimizer;
  Optimizer fewer({trained(kShape)}, options);
  expect_refusal(fewer, "has 1 parameters in group 0, this optimizer has 2");
  Optimizer other_shape({trained(kShape), trained({5}, at::kBFloat16)}, options);
  expect_refusal(other_shape, "has [5] BFloat16 for parameter 1 in group 0 (shape [4], BFloat16)");
  Optimizer other_dtype({trained(kShape), trained({4})}, options);
  expect_refusal(other_dtype, "has [4] Float for parameter 1 in group 0");
  Optimizer more_groups({{.parameters = {trained(kShape)}, .options = options},
                         {.parameters = {trained({4}, at::kBFloat16)}, .options = options}});
  expect_refusal(more_groups, "has 2 groups, this optimizer has 1");
  auto kahan = options;
  kahan.memory.weights = LowPrecisionWeights::kahan;
  Optimizer other_memory({trained(kShape), trained({4}, at::kBFloat16)}, kahan);
  expect_refusal(other_memory, "was saved with other memory options in group 0");
  torch::optim::Adam stock({trained(kShape)}, torch::optim::AdamOptions(0.1));
  expect_refusal(stock, "was not saved by an optimizer of amp::optim");
}

TEST(States, OfAnotherOptimizerIsRefusedByName) {
  optim::Adam adam({trained(kShape)});
  optim::AdamW adamw({trained(kShape)});
  EXPECT_THAT([&] { load(adamw, saved(adam)); },
              ThrowsMessage<InvalidArgument>(AllOf(
                  HasSubstr("AdamW: the state to load was saved by Adam; load it into one"))));
}

// An archive whose group is right and whose parameter is not.
TEST(States, ADamagedParameterIsRefused) {
  optim::SGD optimizer({trained({4})}, {.momentum = 0.9});
  const auto with = [&](const std::function<void(torch::serialize::OutputArchive&)>& damage) {
    torch::serialize::OutputArchive archive, group(archive.compilation_unit()),
        options(archive.compilation_unit()), parameter(archive.compilation_unit());
    archive.write("optimizer", c10::IValue("SGD"));
    archive.write("format", c10::IValue(1));
    archive.write("groups", c10::IValue(1));
    optimizer.param_groups()[0].options().serialize(options);
    group.write("options", options);
    group.write("parameters", c10::IValue(1));
    parameter.write("kind", c10::IValue("[4] Float"));
    parameter.write("stepped", c10::IValue(true));
    damage(parameter);
    group.write("parameter0", parameter);
    archive.write("group0", group);
    std::ostringstream stream;
    archive.save_to(stream);
    return [&optimizer, bytes = stream.str()] { load(optimizer, bytes); };
  };
  const auto counters = [](auto& archive, std::int64_t steps) {
    archive.write("steps", c10::IValue(steps));
    archive.write("momentum_steps", c10::IValue(std::int64_t{0}));
  };
  const auto damaged = ThrowsMessage<InvalidArgument>(HasSubstr("it is damaged"));
  EXPECT_THAT(with([&](auto& a) { counters(a, -1); }), damaged);
  EXPECT_THAT(with([&](auto& a) {
                counters(a, 1);
                a.write("first", at::ones({3}), true);
              }),
              damaged);
  EXPECT_THAT(with([&](auto& a) {
                counters(a, 1);
                a.write("first", at::ones({4}, at::kBFloat16), true);
              }),
              damaged);
  EXPECT_THAT(with([&](auto& a) {
                counters(a, 1);
                a.write("master", at::ones({4}), true);
              }),
              damaged);
  EXPECT_THAT(with([&](auto& a) { a.write("steps", c10::IValue("many")); }),
              ThrowsMessage<InvalidArgument>(HasSubstr("'steps' is missing or of another type")));
  EXPECT_TRUE(optimizer.state().empty());
  EXPECT_NO_THROW(with([&](auto& a) { counters(a, 1); })());
}

}  // namespace
}  // namespace amp::tests::state_test
