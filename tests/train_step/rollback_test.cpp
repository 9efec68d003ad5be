// Whatever throws inside a TrainStep, the next call is as if the failed one had not been made.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/embedding.h>

#include <stdexcept>
#include <string>

#include "amp/error.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::rollback_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// Gives out the CPU's memory until it is told to fail, once.
class ScarceMemory : public c10::Allocator {
 public:
  ScarceMemory() : before_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }
  ~ScarceMemory() override { c10::SetCPUAllocator(before_, kPriority); }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;

  void fail_at(int allocation) { left_ = allocation; }
  bool has_failed() const { return left_ == 0; }

  c10::DataPtr allocate(std::size_t bytes) override {
    if (left_ > 0 && --left_ == 0) throw std::runtime_error("no memory left");
    return before_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return before_->raw_deleter(); }
  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    before_->copy_data(target, source, bytes);
  }

 private:
  static constexpr std::uint8_t kPriority = 100;
  c10::Allocator* before_;
  int left_ = -1;
};

struct NetImpl : torch::nn::Module {
  NetImpl() {
    register_module("mlp", mlp);
    register_module("norm", norm);
    register_module("words", words);
    words->weight.data().copy_(pattern({16, 6}, 5, 13, 1.0 / 16));
    to(test_device());
  }
  at::Tensor loss(std::int64_t i) {
    const auto data = batch(i);
    const auto ids = at::arange(8, data.targets.options()).mul(i + 3).remainder(16);
    const auto hidden = norm(mlp->forward(data.inputs + words(ids)));
    return at::cross_entropy_loss(hidden.to(at::kFloat), data.targets);
  }
  Mlp mlp;
  torch::nn::BatchNorm1d norm{3};
  torch::nn::Embedding words{torch::nn::EmbeddingOptions(16, 6)};
};

struct Kind {
  const char* optimizer;
  Recipe recipe;
  std::int64_t accumulation;
  double max_grad_norm = 0;
};

struct Run {
  explicit Run(const Kind& kind)
      : optimizer(make_optimizer(kind.optimizer, net.parameters())),
        train_step(net, *optimizer, recipe_of(kind)) {}
  static Recipe recipe_of(const Kind& kind) {
    auto recipe = kind.recipe;
    recipe.accumulation = kind.accumulation;
    recipe.max_grad_norm = kind.max_grad_norm;
    recipe.scaler.init_scale = 1024;
    recipe.scaler.growth_interval = 2;
    return recipe;
  }
  void step(std::int64_t i) {
    train_step([&] { return net.loss(i); });
  }
  Values all() {
    Values numbers{train_step.scaler().get_scale()};
    for (const auto& [name, value] : train_step.weights()) {
      const auto more = values(value);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    return numbers;
  }

  NetImpl net;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  TrainStep train_step;
};

constexpr int kCalls = 3;

Values undisturbed(const Kind& kind) {
  Run run(kind);
  for (int i = 0; i < kCalls; ++i) run.step(i);
  run.train_step.flush();
  return run.all();
}

// Call number `which` is made again after it ran out of memory, at every third allocation; `which` of
// kCalls is the flush.
void expect_as_if_nothing_had_happened(const Kind& kind) {
  const auto wanted = undisturbed(kind);
  ScarceMemory memory;
  for (int which = 0; which <= kCalls; ++which) {
    for (int allocation = 1 + which % 3;; allocation += 3) {
      Run run(kind);
      const auto call = [&](int i) { i < kCalls ? run.step(i) : (void)run.train_step.flush(); };
      bool failed = false;
      for (int i = 0; i <= kCalls; ++i) {
        if (i == which) memory.fail_at(allocation);
        try {
          call(i);
        } catch (const std::exception& error) {
          ASSERT_TRUE(memory.has_failed()) << error.what();
          failed = true;
          // It said so.
          if (std::string(error.what()).find("half updated") != std::string::npos) break;
          call(i);
        }
        memory.fail_at(-1);
        if (i == kCalls) {
          ASSERT_THAT(run.all(), AreExactly(wanted))
              << kind.optimizer << ": allocation " << allocation << " of call " << which;
        }
      }
      if (!failed) break;
    }
  }
}

class RollBack : public testing::Test {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "the memory that runs out is the CPU's";
  }
};

TEST_F(RollBack, OutOfMemoryAnywhereInAStep) {
  expect_as_if_nothing_had_happened({"AdamW", Recipe::bf16(), 1});
  expect_as_if_nothing_had_happened({"sgd", Recipe::fp16(), 1, 0.1});
}

TEST_F(RollBack, OutOfMemoryAnywhereInAWindow) {
  expect_as_if_nothing_had_happened({"Adam", Recipe::fp16(), 3, 0.1});
  expect_as_if_nothing_had_happened({"sgd", Recipe::bf16(), 2});
}

TEST_F(RollBack, OutOfMemoryAnywhereWithMasters) {
  expect_as_if_nothing_had_happened({"AdamW", Recipe::O2(), 2});
}

// Two weights, of which the second's hook fails on demand, after the first has its gradient.
struct Hooked {
  struct Model : torch::nn::Module {
    at::Tensor a = register_parameter("a", parameter({1.0, 2.0}));
    at::Tensor b = register_parameter("b", parameter({3.0, 4.0}));
  };
  explicit Hooked(std::int64_t accumulation)
      : train_step(model, optimizer, {.accumulation = accumulation}) {
    model.a.register_hook([this](const at::Tensor& gradient) {
      if (fails) throw std::runtime_error("the user's own");
      return gradient;
    });
    model.b.register_hook([this](const at::Tensor& gradient) {
      if (fails) throw std::runtime_error("the user's own");
      return gradient;
    });
  }
  at::Tensor loss(double a, double b) { return (model.a * a + model.b * b).sum(); }
  // a's gradient is there when the pass fails.
  at::Tensor failing(double a, double b) {
    const auto inner = (model.b * b).sum();
    inner.register_hook([](const at::Tensor&) -> at::Tensor { throw std::runtime_error("later"); });
    return inner + (model.a * a).sum();
  }

  Model model;
  torch::optim::SGD optimizer{model.parameters(), torch::optim::SGDOptions(0.5)};
  TrainStep train_step;
  bool fails = false;
};

TEST(RollBackByHand, AHookThatThrowsInALaterMicroBatch) {
  Hooked run(2);
  run.train_step([&] { return run.loss(1.0, 2.0); });
  EXPECT_THROW(run.train_step([&] { return run.failing(8.0, 16.0); }), std::runtime_error);
  EXPECT_THAT(values(run.model.a.grad()), AreExactly(Values{0.5, 0.5}));
  EXPECT_THAT(values(run.model.b.grad()), AreExactly(Values{1.0, 1.0}));
  run.fails = true;
  EXPECT_THROW(run.train_step([&] { return run.loss(8.0, 16.0); }), std::runtime_error);
  run.fails = false;
  EXPECT_TRUE(run.train_step([&] { return run.loss(3.0, 4.0); }).stepped());
  EXPECT_THAT(values(run.model.a), AreExactly(Values{1.0 - 0.5 * 2.0, 2.0 - 0.5 * 2.0}));
  EXPECT_THAT(values(run.model.b), AreExactly(Values{3.0 - 0.5 * 3.0, 4.0 - 0.5 * 3.0}));
}

TEST(RollBackByHand, BackwardPassesOfALossFunctionThatThrows) {
  Hooked run(2);
  run.train_step([&] { return run.loss(1.0, 2.0); });
  const auto address = run.model.a.grad().unsafeGetTensorImpl();
  EXPECT_THROW(run.train_step([&]() -> at::Tensor {
    EXPECT_THAT(values(run.model.a.grad()), AreExactly(Values{0.5, 0.5})) << "it sees the sum";
    run.loss(8.0, 16.0).backward();
    EXPECT_THAT(values(run.model.a.grad()), AreExactly(Values{8.5, 8.5}));
    run.model.b.mutable_grad().reset();
    throw std::runtime_error("the user's own");
  }),
               std::runtime_error);
  EXPECT_EQ(run.model.a.grad().unsafeGetTensorImpl(), address);
  EXPECT_THAT(values(run.model.a.grad()), AreExactly(Values{0.5, 0.5}));
  EXPECT_THAT(values(run.model.b.grad()), AreExactly(Values{1.0, 1.0}));
}

TEST(RollBackByHand, GradientsFromBeforeTheTrainStep) {
  Hooked run(1);
  run.model.a.mutable_grad() = tensor({1.0, 2.0});
  EXPECT_THROW(run.train_step([&] { return run.failing(8.0, 16.0); }), std::runtime_error);
  EXPECT_THAT(values(run.model.a.grad()), AreExactly(Values{1.0, 2.0}));
  EXPECT_FALSE(run.model.b.grad().defined());
  run.train_step([&] { return run.loss(1.0, 0.0); });
  EXPECT_THAT(values(run.model.a), AreExactly(Values{1.0 - 0.5 * 2.0, 2.0 - 0.5 * 3.0}));
}

TEST(RollBackByHand, GradientsOfWeightsThatAnotherOptimizerSteps) {
  Hooked run(1);
  auto other = parameter({5.0, 6.0});
  other.mutable_grad() = tensor({1.0, 1.0});
  EXPECT_THROW(run.train_step([&] { return run.failing(8.0, 16.0) + (other * 2.0).sum(); }),
               std::runtime_error);
  EXPECT_THAT(values(other.grad()), AreExactly(Values{1.0, 1.0}));
}

TEST(RollBackByHand, SparseGradients) {
  torch::nn::Embedding words(torch::nn::EmbeddingOptions(4, 2).sparse(true));
  words->weight.data().zero_();
  words->to(test_device());
  torch::optim::SGD optimizer(words->parameters(), torch::optim::SGDOptions(1.0));
  TrainStep train_step(*words, optimizer, {.accumulation = 2});
  const auto row = [&](std::int64_t i) {
    return words(at::full({1}, i, at::TensorOptions(at::kLong).device(test_device()))).sum();
  };
  train_step([&] { return row(1); });
  EXPECT_THROW(train_step([&]() -> at::Tensor {
                 row(3).backward();
                 throw std::runtime_error("the user's own");
               }),
               std::runtime_error);
  train_step([&] { return row(2); });
  EXPECT_THAT(values(words->weight), AreExactly(Values{0, 0, -0.5, -0.5, -0.5, -0.5, 0, 0}));
}

TEST(RollBackByHand, AStepThatThrowsKeepsTheEarlierMicroBatches) {
  struct Stepper : torch::optim::SGD {
    using SGD::SGD;
    at::Tensor step(LossClosure closure) override {
      if (fails) throw std::out_of_range("the step failed");
      return SGD::step(std::move(closure));
    }
    bool fails = false;
  };
  Hooked::Model model;
  Stepper optimizer(model.parameters(), torch::optim::SGDOptions(0.5));
  auto recipe = Recipe::fp16();
  recipe.accumulation = 2;
  recipe.max_grad_norm = 100;
  recipe.scaler.init_scale = 8;
  TrainStep train_step(model, optimizer, recipe);
  const auto times = [&](double factor) {
    return [&model, factor] { return (model.a * factor).sum(); };
  };
  train_step(times(1.0));
  optimizer.fails = true;
  EXPECT_THAT([&] { train_step(times(8.0)); },
              ThrowsMessage<StateError>(
                  testing::AllOf(HasSubstr("the step failed"), HasSubstr("may be half updated"))));
  EXPECT_FALSE(train_step.at_boundary());
  EXPECT_THAT([&] { train_step.flush(); }, ThrowsMessage<StateError>(HasSubstr("half updated")));
  EXPECT_THAT(values(model.a.grad()), AreExactly(Values{4.0, 4.0})) << "1 x 8 / 2";
  optimizer.fails = false;
  EXPECT_TRUE(train_step(times(3.0)).stepped());
  EXPECT_THAT(values(model.a), AreExactly(Values{0.0, 1.0}));
}

}  // namespace
}  // namespace amp::tests::rollback_test
