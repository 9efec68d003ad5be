// Checkpoints of a TrainStep, and weights in files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <limits>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "tests/support/mlp.h"
#include "tests/support/temporary_folder.h"

namespace amp::tests::training_test {
namespace {

using ampersand::tests::TemporaryFolder;
using testing::HasSubstr;
using testing::ThrowsMessage;

Recipe recipe_named(const std::string& name) {
  if (name == "O2") return Recipe::O2();
  auto recipe = name == "fp16" ? Recipe::fp16() : Recipe::bf16();
  recipe.scaler = {.init_scale = 0x1p19, .growth_interval = 3};
  return recipe;
}

struct TrainedMlp {
  TrainedMlp(const std::string& recipe, const std::string& optimizer_name)
      : optimizer(make_optimizer(optimizer_name, model.parameters())),
        step(model, *optimizer, recipe_named(recipe)) {}

  // The loss has noise in it, so that the generator of the device matters, and the CPU's.
  static at::Tensor noise() {
    return 1 + 0.1 * at::rand({}, test_device()) + 0.1 * at::rand({}).item<double>();
  }
  Values train(int from, int to) {
    Values losses;
    for (int i = from; i < to; ++i) {
      const auto report = step([&] { return loss_of(model, batch(i)) * noise(); });
      losses.push_back(report.loss().item<double>());
      losses.push_back(report.scale());
    }
    return losses;
  }

  MlpImpl model;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  TrainStep step;
};

class Checkpoints : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  TemporaryFolder folder;
};

TEST_P(Checkpoints, ATrainingGoesOnAsIfItHadNotStopped) {
  const auto [recipe, optimizer] = GetParam();
  at::manual_seed(5);
  TrainedMlp whole(recipe, optimizer);
  whole.train(0, 10);
  NamedTensors average = {{"a", tensor({0.1, 0.1})}};
  save_checkpoint(folder.path(), whole.step, 10,
                  {.about = R"({"x": 1})", .tensors = {{"ema", average}}});
  const auto expected = whole.train(10, 20);

  at::manual_seed(99);
  TrainedMlp other(recipe, optimizer);
  const auto stored = Checkpoint::newest(folder.path());
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->step(), 10);
  EXPECT_EQ(stored->about(), R"({"x":1})");
  EXPECT_TRUE(stored->has("ema"));
  EXPECT_FALSE(stored->has("other"));
  EXPECT_THAT(stored->tensors("ema")[0].second, IsIdenticalTo(average[0].second));
  stored->restore(other.step);
  EXPECT_THAT(other.train(10, 20), AreExactly(expected));
  EXPECT_THAT(weights_of(other.model), AreExactly(weights_of(whole.model)));
  for (const auto& [name, tensor] : stored->tensors("weights"))
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
}

INSTANTIATE_TEST_SUITE_P(All, Checkpoints,
                         testing::Combine(testing::Values("bf16", "fp16", "O2"),
                                          testing::Values("sgd", "adam", "AdamW")));

TEST(Checkpoint, TheMiddleOfAWindowCannotBeSaved) {
  const TemporaryFolder folder;
  MlpImpl model;
  const auto optimizer = make_optimizer("sgd", model.parameters());
  auto recipe = Recipe::fp32();
  recipe.accumulation = 2;
  TrainStep step(model, *optimizer, recipe);
  step([&] { return loss_of(model, batch(0)); });
  EXPECT_THAT([&] { save_checkpoint(folder.path(), step, 1); },
              ThrowsMessage<StateError>(HasSubstr("middle of an accumulation window")));
  step.flush();
  EXPECT_NO_THROW(save_checkpoint(folder.path(), step, 1));
}

TEST(Checkpoint, AnotherModelIsRefusedAndUnchanged) {
  const TemporaryFolder folder;
  TrainedMlp run("bf16", "sgd");
  save_checkpoint(folder.path(), run.step, 3);
  torch::nn::Linear other(6, 3);
  const auto before = weights_of(*other);
  const auto optimizer = make_optimizer("sgd", other->parameters());
  TrainStep step(*other, *optimizer, Recipe::fp32());
  EXPECT_THAT([&] { Checkpoint::newest(folder.path())->restore(step); },
              ThrowsMessage<InvalidArgument>(HasSubstr("is of another model")));
  EXPECT_THAT(weights_of(*other), AreExactly(before));
}

TEST(Checkpoint, AboutMustBeAnObject) {
  const TemporaryFolder folder;
  TrainedMlp run("bf16", "sgd");
  EXPECT_THAT([&] { save_checkpoint(folder.path(), run.step, 1, {.about = "hello"}); },
              ThrowsMessage<InvalidArgument>(HasSubstr("about must be a JSON object")));
}

TEST(SafetensorsFile, KeepsEveryDtypeAndShape) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "t.safetensors";
  NamedTensors tensors;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                           at::kShort, at::kChar, at::kByte, at::kBool})
    tensors.emplace_back(c10::toString(dtype), at::arange(6).reshape({2, 3}).to(dtype));
  tensors.emplace_back("scalar", at::full({}, 1.5));
  tensors.emplace_back("empty", at::empty({0, 4}));
  tensors.emplace_back("view", at::arange(6).to(at::kFloat).reshape({2, 3}).t());
  save_safetensors(file, tensors, {{"format", "pt"}});
  const auto loaded = load_safetensors(file);
  ASSERT_EQ(loaded.size(), tensors.size());
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    EXPECT_EQ(loaded[i].first, tensors[i].first);
    EXPECT_THAT(loaded[i].second, IsIdenticalTo(tensors[i].second)) << tensors[i].first;
  }
  EXPECT_THROW(save_safetensors(file, {{"c", at::zeros({1}, at::kComplexFloat)}}), InvalidArgument);
  EXPECT_EQ(load_safetensors(file).size(), tensors.size());  // the old file is still whole
}

TEST(SafetensorsFile, ConvertedWeightsAreRoundedToNearestEven) {
  const NamedTensors tensors = {{"w", tensor({1.0 + 0x1p-11, 1.0 + 0x1p-9, 1e6})},
                                {"n", at::arange(3)}};
  const auto half = converted(tensors, at::kHalf);
  EXPECT_THAT(values(half[0].second),
              AreExactly(Values{1.0, 1.0 + 0x1p-9, std::numeric_limits<double>::infinity()}));
  EXPECT_EQ(half[1].second.scalar_type(), at::kLong);
}

TEST(StateDict, IsAZipFileWithTheNames) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "w.pt";
  save_state_dict(file, {{"a.weight", at::full({2, 2}, 0.5)}, {"b", at::ones({3}, at::kHalf)}});
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  EXPECT_EQ(bytes.substr(0, 2), "PK");
  EXPECT_NE(bytes.find("a.weight"), std::string::npos);
}

}  // namespace
}  // namespace amp::tests::training_test
