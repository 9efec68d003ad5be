// What the language models keep for the backward pass: in bf16 and fp16 at most 0.55 of fp32's bytes,
// with and without LibTorch's workspaces, which are bytes by name.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "amp/optim.h"
#include "amp/train_step.h"
#include "app/training/memory_census.h"
#include "tasks/text/gpt.h"
#include "tasks/text/lstm.h"

namespace ampersand::tests::language_memory_test {
namespace {

// Of the second step, when the optimizer's copies of the weights are there.
template <typename Model, typename Options>
LiveBytes live_bytes(const Options& options, const amp::Recipe& recipe, std::int64_t time) {
  Model model(options);
  amp::optim::AdamW optimizer(model.parameters(), amp::optim::AdamWOptions{});
  amp::TrainStep step(model, optimizer, recipe);
  const auto text = at::randint(options.vocabulary, {4, time + 1}, at::kLong);
  const auto loss = [&] {
    const auto logits = model.forward(text.narrow(1, 0, time));
    return at::cross_entropy_loss(logits.flatten(0, 1), text.narrow(1, 1, time).flatten());
  };
  step(loss);
  MemoryWatch watch;
  const MemoryCensus census(watch, model.parameters());
  LiveBytes live;
  step([&] {
    const auto value = loss();
    live = census.live();
    return value;
  });
  return live;
}

void expect_half(const std::function<LiveBytes(const amp::Recipe&)>& live_with) {
  const auto all = [](const LiveBytes& bytes) {
    return static_cast<double>(bytes.floating + bytes.integer + bytes.other);
  };
  const auto fp32 = live_with(amp::Recipe::fp32());
  ASSERT_GT(fp32.floating, 100'000);
  for (const auto& recipe : {amp::Recipe::bf16(), amp::Recipe::fp16()}) {
    const auto live = live_with(recipe);
    SCOPED_TRACE(c10::toString(recipe.compute_dtype));
    EXPECT_LE(static_cast<double>(live.floating), 0.55 * static_cast<double>(fp32.floating));
    EXPECT_LE(all(live), 0.55 * all(fp32));
  }
}

TEST(LanguageMemory, Gpt) {
  for (const std::int64_t vocabulary : {256, 2000}) {
    expect_half([=](const amp::Recipe& recipe) {
      return live_bytes<Gpt>(
          GptOptions{.vocabulary = vocabulary, .context = 64, .layers = 2, .width = 64, .heads = 2},
          recipe, 64);
    });
  }
}

TEST(LanguageMemory, GptWithDropout) {
  expect_half([](const amp::Recipe& recipe) {
    return live_bytes<Gpt>(
        GptOptions{.context = 64, .layers = 2, .width = 64, .heads = 2, .dropout = 0.1}, recipe,
        64);
  });
}

TEST(LanguageMemory, Lstm) {
  for (const std::int64_t vocabulary : {256, 2000}) {
    expect_half([=](const amp::Recipe& recipe) {
      return live_bytes<LstmModel>(
          LstmOptions{.vocabulary = vocabulary, .embedding = 64, .hidden = 96}, recipe, 32);
    });
  }
}

TEST(LanguageMemory, LstmProjectedTiedAndDropped) {
  expect_half([](const amp::Recipe& recipe) {
    return live_bytes<LstmModel>(
        LstmOptions{.embedding = 64, .hidden = 96, .projection = 64, .tied = true, .dropout = 0.1},
        recipe, 32);
  });
}

}  // namespace
}  // namespace ampersand::tests::language_memory_test
