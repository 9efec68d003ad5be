// The registry of tasks, batches of rows in memory, and what a task does where it says nothing of its own.
#include "amp/task.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <set>

#include "amp/error.h"

namespace amp::tests::task_test {
namespace {

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class Empty : public Task {
 public:
  explicit Empty(const TaskOptions& options) : heads(options.option<std::int64_t>("--heads")) {}
  std::int64_t training_samples() const override { return 0; }
  std::int64_t test_samples() const override { return 0; }
  std::unique_ptr<Batches> training_batches(std::int64_t, c10::ScalarType) const override {
    return nullptr;
  }
  std::unique_ptr<Batches> test_batches(c10::ScalarType) const override { return nullptr; }
  TaskModel make_model(const std::string&) const override { return {}; }
  std::int64_t heads;
};

class WithModels : public Empty {
 public:
  using Empty::Empty;
  static std::vector<std::string> models() { return {"small", "large"}; }
  static std::map<std::string, OptionValue> defaults(const std::string& model) {
    return {{"--lr", model == "small" ? 0.5 : 0.25}};
  }
};

AMP_REGISTER_TASK("at file scope", Empty);

TEST(TaskRegistry, KeepsTasksInTheirOrder) {
  register_task(task_info<Empty>("first"));
  register_task(task_info<WithModels>("second"));
  std::vector<std::string> names;
  for (const auto& info : registered_tasks()) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"at file scope", "first", "second"}));
  const auto infos = registered_tasks();
  EXPECT_EQ(infos[1].models, (std::vector<std::string>{"first"}));
  EXPECT_EQ(infos[2].models, (std::vector<std::string>{"small", "large"}));
  EXPECT_EQ(std::get<double>(infos[2].defaults("large").at("--lr")), 0.25);
  const auto task = make_registered_task(
      infos[1], {.model = "first", .data = "", .options = {{"--heads", std::int64_t{3}}}});
  EXPECT_EQ(task->name(), "first");
  EXPECT_EQ(dynamic_cast<Empty&>(*task).heads, 3);
}

TEST(TaskRegistry, RefusesWhatIsIncomplete) {
  register_task(task_info<Empty>("taken"));
  EXPECT_THAT(refusal([] { register_task(task_info<Empty>("taken")); }),
              testing::HasSubstr("the name 'taken' is taken"));
  EXPECT_THAT(refusal([] { register_task({}); }), testing::HasSubstr("a task needs a name"));
  EXPECT_FALSE(register_task_statically(task_info<Empty>("taken")));
  EXPECT_THAT(registration_error(), testing::HasSubstr("the name 'taken' is taken"));
}

TEST(TaskOptions, AnOptionHasANameAndAType) {
  const TaskOptions options{.model = "", .data = "", .options = {{"--heads", std::int64_t{3}}}};
  EXPECT_EQ(options.option<std::int64_t>("--heads"), 3);
  EXPECT_THAT(refusal([&] { options.option<double>("--heads"); }),
              testing::HasSubstr("the value of --heads has another type"));
  EXPECT_THAT(refusal([&] { options.option<double>("--head"); }),
              testing::HasSubstr("there is no option '--head'"));
}

Batch rows(std::int64_t count) {
  return {{at::arange(count, c10::kFloat), at::arange(count, c10::kLong)},
          {at::arange(count, c10::kFloat).mul(10)}};
}

TEST(TensorBatches, HoldEveryRowOnceInAnOrderOfSeedAndEpoch) {
  const auto batches = tensor_batches(rows(10), 4, c10::kHalf);
  EXPECT_EQ(batches->batches(), 3);
  EXPECT_EQ(batches->samples_of(2), 2);
  const auto order = [&] {
    std::vector<std::int64_t> all;
    for (std::int64_t i = 0; i < batches->batches(); ++i) {
      const auto batch = batches->get(i);
      EXPECT_EQ(batch.inputs[0].scalar_type(), c10::kHalf);
      EXPECT_EQ(batch.inputs[1].scalar_type(), c10::kLong);
      EXPECT_EQ(batch.targets[0].scalar_type(), c10::kFloat);  // not narrowed
      EXPECT_TRUE(batch.inputs[0].to(c10::kFloat).mul(10).equal(batch.targets[0]));
      for (std::int64_t k = 0; k < batch.inputs[1].size(0); ++k)
        all.push_back(batch.inputs[1][k].item<std::int64_t>());
    }
    return all;
  };
  const auto unshuffled = order();
  EXPECT_TRUE(std::ranges::is_sorted(unshuffled));
  std::set<std::vector<std::int64_t>> orders{unshuffled};
  for (const auto& [seed, epoch] : {std::pair{0, 0}, {0, 1}, {1, 0}, {1, 1}}) {
    batches->shuffle(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(epoch));
    const auto one = order();
    EXPECT_EQ((std::set<std::int64_t>(one.begin(), one.end()).size()), 10U);
    orders.insert(one);
    batches->shuffle(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(epoch));
    EXPECT_EQ(order(), one);
  }
  EXPECT_EQ(orders.size(), 5U);
}

TEST(TensorBatches, RefuseRowsThatDoNotGoTogether) {
  EXPECT_THAT(refusal([] { tensor_batches(rows(3), 0, c10::kFloat); }),
              testing::HasSubstr("batch_size must be at least 1, got 0"));
  EXPECT_THAT(refusal([] { tensor_batches({}, 1, c10::kFloat); }),
              testing::HasSubstr("there must be inputs"));
  EXPECT_THAT(refusal([] {
                tensor_batches({{at::arange(0)}, {}}, 1, c10::kFloat);
              }),
              testing::HasSubstr("there must be rows"));
  EXPECT_THAT(refusal([] {
                tensor_batches({{at::arange(3)}, {at::arange(4)}}, 1, c10::kFloat);
              }),
              testing::HasSubstr("got 3 and 4"));
}

TEST(Batches, SayWhatAClassForgot) {
  class Forgetful : public Batches {
   public:
    std::int64_t samples() const override { return 1; }
    std::int64_t batch_size() const override { return 1; }
    void shuffle(std::uint64_t, std::uint64_t) override {}
  };
  EXPECT_THAT(refusal([] { Forgetful().get(0); }), testing::HasSubstr("must override get"));
}

// Fisher-Yates with std::mt19937_64: what ImageBatches have drawn since their first version.
TEST(Shuffled, IsTheSameEverywhere) {
  const auto order = shuffled(1000, 5, 2);
  EXPECT_EQ((std::set<std::uint32_t>(order.begin(), order.end()).size()), 1000U);
  EXPECT_EQ(order, shuffled(1000, 5, 2));
  EXPECT_NE(order, shuffled(1000, 5, 3));
  EXPECT_NE(order, shuffled(1000, 4, 2));
  // A seed beyond 32 bits counts whole.
  EXPECT_NE(order, shuffled(1000, 5 + (std::uint64_t{1} << 32), 2));
}

struct Two : torch::nn::Module {
  at::Tensor forward(const at::Tensor& a, const at::Tensor& b) { return a - b; }
};

TEST(TaskModels, TakeAsManyTensorsAsTheirForward) {
  const auto model = task_model(std::make_shared<Two>());
  EXPECT_EQ(model.forward({at::tensor({5.0F}), at::tensor({3.0F})}).item<float>(), 2);
  EXPECT_EQ(model.loss, nullptr);
}

TEST(TaskDefaults, AreClassification) {
  const Empty task({.model = "", .data = "", .options = {{"--heads", std::int64_t{1}}}});
  const auto logits = at::tensor({2.0F, 0.0F, 0.0F, 1.0F}).view({2, 2});
  const auto labels = at::tensor({0, 0}, c10::kLong);
  // ln(1 + e^-2) and ln(1 + e)
  EXPECT_NEAR(task.loss(logits, {labels}).item<double>(), (0.126928011 + 1.313261688) / 2, 1e-6);
  EXPECT_EQ(task.measured(logits, {{}, {labels}}).at("test_accuracy"), 1);
  EXPECT_EQ(task.measures().at(0).key, "test_accuracy");
  EXPECT_EQ(task.state(), "{}");
}

}  // namespace
}  // namespace amp::tests::task_test
