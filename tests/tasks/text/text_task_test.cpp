// Text as a task: windows in batches, what a loss in nats means, how texts are continued.
#include "tasks/text/text_task.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "app/models/model_evaluator.h"
#include "app/task_choice/task_choice.h"
#include "app/training/batch_loader.h"
#include "tasks/register_tasks.h"
#include "tasks/text/generation.h"
#include "tasks/text/text_batches.h"
#include "tests/app/errors.h"
#include "tests/support/temporary_folder.h"

namespace ampersand::tests::text_task_test {
namespace {

// After token t it holds t + 1 (mod `vocabulary`) for certain, or all alike where `gap` is 0.
class Counting : public Model {
 public:
  Counting(std::int64_t vocabulary, double gap) : vocabulary_(vocabulary), gap_(gap) {}

  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    const auto& tokens = inputs.at(0);
    longest = std::max(longest, tokens.size(1));
    auto logits = at::zeros({tokens.size(0), tokens.size(1), vocabulary_});
    const auto next = tokens.add(1).remainder(vocabulary_).unsqueeze(-1);
    return logits.scatter_(2, next, gap_);
  }
  std::vector<at::Tensor> parameters() const override { return {weight_}; }
  std::vector<at::Tensor> buffers() const override { return {}; }
  void train(bool) override {}
  void to(c10::Device) override {}
  void load(const amp::NamedTensors&) override {}
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer&,
                                             const amp::Recipe&) override {
    return nullptr;
  }

  std::int64_t longest = 0;

 private:
  std::int64_t vocabulary_;
  double gap_;
  at::Tensor weight_ = at::zeros({1}).requires_grad_();
};

class TextTaskTest : public ::testing::Test {
 protected:
  TaskSettings settings_for(const std::string& text, const std::string& vocabulary = "bytes") {
    const auto file = folder_.path() / "text.txt";
    std::ofstream(file, std::ios::binary) << text;
    TaskSettings settings;
    settings.data = file.string();
    settings.context = 4;
    settings.held_out = 0.5;
    settings.vocabulary = vocabulary;
    settings.sizes.layers = 1;
    settings.sizes.width = 8;
    settings.sizes.heads = 2;
    return settings;
  }

  TemporaryFolder folder_;
};

constexpr const char* kTwoLines = "abcdefghijklmnopqrstu\nABCDEFGHIJKLMNOPQRSTU\n";

TEST_F(TextTaskTest, TargetsAreTheTokensThatFollow) {
  const TextTask task(settings_for(kTwoLines));
  const auto batch = task.test_batches(c10::kFloat)->get(0);
  // The held-out line has 22 bytes: 5 windows of 4 and the one token that follows.
  EXPECT_EQ(batch.inputs.at(0).sizes(), (std::vector<std::int64_t>{5, 4}));
  EXPECT_EQ(batch.inputs.at(0)[0][0].item<int>(), 'A');
  EXPECT_EQ(batch.inputs.at(0)[4][3].item<int>(), 'T');
  EXPECT_EQ(batch.targets.at(0)[4][3].item<int>(), 'U');
  EXPECT_TRUE(batch.targets.at(0).equal(batch.inputs.at(0).add(1)));
}

// Of 256 tokens that are all alike each costs log2(256) = 8 bits.
TEST_F(TextTaskTest, ALossIsBitsForEachByte) {
  const TextTask task(settings_for(kTwoLines));
  Counting alike(256, 0);
  ModelEvaluator evaluator(alike, amp::Recipe::fp32());
  const auto result = task.evaluate(evaluator, *task.test_batches(c10::kFloat));
  EXPECT_NEAR(result.loss, std::log(256.0), 1e-5);
  EXPECT_NEAR(result.measures.at("perplexity"), 256, 1e-2);
  EXPECT_NEAR(result.measures.at("bits_per_byte"), 8, 1e-5);
  EXPECT_FALSE(result.measures.contains("test_accuracy"));
}

// A pair of bytes as one token: half as many tokens, and the bits of each spread over two bytes.
TEST_F(TextTaskTest, BitsPerByteCountBytesNotTokens) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "xy";
  const TextTask task(settings_for(text + "\n" + text + "\n", "bpe-257"));
  ASSERT_EQ(nlohmann::json::parse(task.about()).at("vocabulary_size"), 257);
  Counting alike(257, 0);
  ModelEvaluator evaluator(alike, amp::Recipe::fp32());
  const auto result = task.evaluate(evaluator, *task.test_batches(c10::kFloat));
  EXPECT_NEAR(result.measures.at("bits_per_byte"), std::log2(257.0) / 2, 1e-4);
}

TEST_F(TextTaskTest, SamplesAreWindows) {
  auto settings = settings_for(kTwoLines);
  settings.train_samples = 2;
  settings.test_samples = 3;
  const TextTask task(settings);
  EXPECT_EQ(task.training_samples(), 2);
  EXPECT_EQ(task.training_batches(1, c10::kFloat)->samples(), 2);
  EXPECT_EQ(task.test_samples(), 3);
  EXPECT_EQ(task.test_batches(c10::kFloat)->samples(), 3);
}

TEST_F(TextTaskTest, ItsStateMakesItAgain) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "the end of the den ";
  const auto settings = settings_for(text + "\n" + text + "\n", "bpe-262");
  const TextTask task(settings);
  // Other text, which would have given other merges.
  auto other = settings_for("aaaa bbbb aaaa bbbb the\naaaa bbbb aaaa bbbb the\n", "bpe-262");
  const TextTask again(other, nlohmann::json::parse(task.state()));
  EXPECT_EQ(again.state(), task.state());
  EXPECT_NE(TextTask(other).state(), task.state());
}

TEST_F(TextTaskTest, ContinuesAPrompt) {
  const TextTask task(settings_for(kTwoLines));
  Counting certain(256, 1000);
  ModelEvaluator evaluator(certain, amp::Recipe::fp32());
  EXPECT_EQ(task.continued(evaluator, {.prompt = "abc", .tokens = 5}), "abcdefgh");
  EXPECT_EQ(certain.longest, 4);  // never more than the context
  EXPECT_EQ(
      error_of<amp::InvalidArgument>([&] { task.continued(evaluator, {.prompt = "ab\xff"}); }),
      "--prompt is not UTF-8 from byte 2 on; give text in UTF-8");
}

TEST(Generation, DependsOnTheSeedAlone) {
  Counting alike(50, 0);
  const auto drawn = [&](std::uint64_t seed, std::int64_t top_k) {
    ModelEvaluator evaluator(alike, amp::Recipe::fp32());
    return generate(evaluator, {0}, 8, {.prompt = {}, .tokens = 40, .top_k = top_k, .seed = seed});
  };
  EXPECT_EQ(drawn(1, 0), drawn(1, 0));
  EXPECT_NE(drawn(1, 0), drawn(2, 0));
  const auto few = drawn(1, 3);
  EXPECT_LE((std::set<std::int64_t>(few.begin(), few.end()).size()), 3u);
  const auto many = drawn(1, 0);
  EXPECT_GT((std::set<std::int64_t>(many.begin(), many.end()).size()), 10u);
}

TEST(Generation, RefusesWhatMakesNoSense) {
  Counting alike(50, 0);
  ModelEvaluator evaluator(alike, amp::Recipe::fp32());
  const auto refusal = [&](const amp::Continuation& how) {
    return error_of<amp::InvalidArgument>([&] { generate(evaluator, {0}, 8, how); });
  };
  EXPECT_EQ(refusal({.prompt = {}, .tokens = 0}), "--tokens must be >= 1, got 0");
  EXPECT_EQ(refusal({.prompt = {}, .top_k = -1}), "--top-k must be >= 0 (0: all tokens), got -1");
  EXPECT_NE(refusal({.prompt = {}, .temperature = -0.5}).find("--temperature must be"),
            std::string::npos);
  Counting broken(50, std::numeric_limits<double>::infinity());
  ModelEvaluator broken_evaluator(broken, amp::Recipe::fp32());
  EXPECT_THROW(generate(broken_evaluator, {0}, 8, {}), amp::NumericalError);
}

TEST_F(TextTaskTest, BatchesComeInOneOrderForAnyNumberOfThreads) {
  const auto settings = settings_for(std::string(4000, 'a') + "\n" + std::string(4000, 'b') + "\n");
  const TextTask task(settings);
  const auto order = [&](std::int64_t threads) {
    const auto batches = task.training_batches(16, c10::kFloat);
    BatchLoader loader(*batches, threads);
    std::vector<at::Tensor> seen;
    for (const std::uint64_t epoch : {0U, 1U}) {
      loader.begin_epoch(3, epoch, 2);
      for (std::int64_t i = 2; i < batches->batches(); ++i) seen.push_back(loader.next().inputs[0]);
    }
    return at::cat(seen);
  };
  const auto alone = order(0);
  EXPECT_TRUE(alone.equal(order(1)));
  EXPECT_TRUE(alone.equal(order(5)));
}

TEST_F(TextTaskTest, RefusesTextThatIsTooShort) {
  auto settings = settings_for(kTwoLines);
  settings.context = 64;
  EXPECT_THROW(TextTask{settings}, amp::InvalidArgument);
  settings.data = (folder_.path() / "empty.txt").string();
  std::ofstream(settings.data).flush();
  EXPECT_THROW(TextTask{settings}, amp::IoError);
}

TEST(Tasks, AModelAndItsDataMustMatch) {
  register_tasks();
  Settings settings;
  settings.model = "gpt";
  settings.data = "fashion-mnist";
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { make_task(settings); }),
            "--model gpt learns from text, and --data fashion-mnist has images; give --data kjv, a "
            "text file or a folder of them, or --model mlp, cnn or resnet18");
  settings.model = "cnn";
  settings.data = "kjv";
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { make_task(settings); }),
            "--model cnn learns from images, and --data kjv has text; give --data fashion-mnist, "
            "cifar-10 or a folder of images, or --model gpt or lstm");
}

TEST(Tasks, DefaultsSuitTheModel) {
  register_tasks();
  for (const auto& [model, data, batch] :
       {std::tuple{"seq2seq", "numbers", 64}, {"speech", "spoken-digits", 16}}) {
    Settings settings;
    settings.model = model;
    complete_settings(settings);
    EXPECT_EQ(settings.data, data);
    EXPECT_EQ(settings.optimizer, "adamw");
    EXPECT_EQ(settings.batch_size, batch);
  }
  Settings settings;
  settings.model = "lstm";
  settings.given = {"--lr"};
  settings.learning_rate = 0.5;
  complete_settings(settings);
  EXPECT_EQ(settings.data, "kjv");
  EXPECT_EQ(settings.optimizer, "adamw");
  EXPECT_EQ(settings.learning_rate, 0.5);
  Settings images;
  complete_settings(images);
  EXPECT_EQ(images.data, "fashion-mnist");
  EXPECT_EQ(images.optimizer, "sgd");
}

}  // namespace
}  // namespace ampersand::tests::text_task_test
