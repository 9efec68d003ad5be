// TorchScript models: trained in three precisions, alone and after one another.
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <torch/optim/sgd.h>

#include <ATen/Context.h>

#include <cstdlib>
#include <fstream>
#include <numeric>

#include "amp/autocast.h"
#include "amp/checkpoint.h"
#include "app/models/model.h"
#include "tests/app/errors.h"
#include "tests/support/folders.h"
#include "tests/support/tensors.h"
#include "tests/tasks/common/shape_task.h"
#include "tests/tasks/images/idx_files.h"

namespace ampersand::tests::script_model_test {
namespace {

using amp::tests::Values;

std::string script(const std::string& name) {
  return amp::tests::golden_folder() + "/scripted/" + name + ".pt";
}

const ShapeTask kTask({1, 8, 8, 4});

// Four classes: the quarter of the image that is bright.
struct Data {
  at::Tensor images = at::zeros({16, 1, 8, 8}), labels = at::arange(16).remainder(4);
  Data() {
    for (std::int64_t i = 0; i < 16; ++i) {
      const auto row = i % 4 / 2 * 4, column = i % 2 * 4;
      images[i][0]
          .slice(0, row, row + 4)
          .slice(1, column, column + 4)
          .fill_(1 + 0.05 * static_cast<double>(i));
    }
  }
};

Values losses(const std::string& name, const amp::Recipe& recipe, int steps = 30) {
  at::manual_seed(0);
  const auto model = make_model(script(name), kTask);
  check_model(*model, name, kTask);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const auto step = model->train_step(optimizer, recipe);
  const Data data;
  Values result;
  for (int i = 0; i < steps; ++i) {
    const auto report =
        (*step)([&] { return model->loss(model->forward({data.images}), {data.labels}); });
    result.push_back(report.loss().item<double>());
  }
  return result;
}

class Scripted : public testing::TestWithParam<const char*> {};

TEST_P(Scripted, LearnsInEveryPrecision) {
  for (const auto& recipe :
       {amp::Recipe::fp32(), amp::Recipe::bf16(), amp::Recipe::fp16(), amp::Recipe::O2()}) {
    const auto all = losses(GetParam(), recipe, 60);
    EXPECT_LT(all.back(), 0.6 * all.front()) << recipe.to_json();
  }
}

// LibTorch's own casting pass is specialised by on and off alone: after a bf16 run, an fp16 run of
// the same graph computed in bf16.
TEST_P(Scripted, S6_15_APrecisionDoesNotDependOnTheOneBefore) {
  const auto fp16 = losses(GetParam(), amp::Recipe::fp16());
  const auto bf16 = losses(GetParam(), amp::Recipe::bf16());
  const auto fp32 = losses(GetParam(), amp::Recipe::fp32());
  EXPECT_NE(fp16, bf16);
  EXPECT_NE(fp32, bf16);
  EXPECT_EQ(losses(GetParam(), amp::Recipe::bf16()), bf16);
  EXPECT_EQ(losses(GetParam(), amp::Recipe::fp16()), fp16);
  EXPECT_EQ(losses(GetParam(), amp::Recipe::fp32()), fp32);
}

// One module, one graph: the dtype of its output follows the guard it runs under.
TEST_P(Scripted, OneModuleRunsInEachPrecision) {
  const auto model = make_model(script(GetParam()), kTask);
  model->train(false);
  const Data data;
  c10::NoGradGuard no_grad;
  const auto output = [&](c10::ScalarType dtype) {
    amp::Autocast autocast(c10::kCPU, dtype);
    return model->forward({data.images});
  };
  const auto fresh_bf16 = output(c10::kBFloat16);
  const auto half = output(c10::kHalf);
  EXPECT_EQ(fresh_bf16.scalar_type(), c10::kBFloat16);
  EXPECT_EQ(half.scalar_type(), c10::kHalf);
  EXPECT_EQ(model->forward({data.images}).scalar_type(), c10::kFloat);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(output(c10::kHalf), amp::tests::IsIdenticalTo(half));
    EXPECT_THAT(output(c10::kBFloat16), amp::tests::IsIdenticalTo(fresh_bf16));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Scripted, testing::Values("convnet", "rows", "attention", "tied"),
                         [](const auto& param) { return std::string(param.param); });

TEST(ScriptedModel, ItsOwnLossIsUsed) {
  const auto model = make_model(script("attention"), kTask);
  const auto plain = make_model(script("rows"), kTask);
  const auto logits = at::full({1, 4}, 0.0).index_fill(1, at::zeros({1}, c10::kLong), 3.0);
  const auto label = at::zeros({1}, c10::kLong);
  // Cross entropy is log(1 + 3 e^-3) = 0.13912; smoothing by 0.1 adds 0.1 x 3 x 3 / 4.
  EXPECT_NEAR(plain->loss(logits, {label}).item<double>(), 0.13912, 1e-4);
  EXPECT_NEAR(model->loss(logits, {label}).item<double>(), 0.13912 + 0.225, 1e-4);
}

TEST(ScriptedModel, LoadsWithoutCountsOfBatches) {
  const auto model = make_model(script("convnet"), kTask);
  auto weights = amp::named_weights(*model->script_module());
  const auto all = weights.size();
  std::erase_if(weights, [](const auto& w) { return w.first.ends_with("num_batches_tracked"); });
  ASSERT_EQ(weights.size(), all - 1);
  model->load(weights);
  weights.pop_back();
  EXPECT_NE(error_of<amp::InvalidArgument>([&] { model->load(weights); }).find("is missing"),
            std::string::npos);
}

// 64 x 64 weights that both layers have, two biases of 64, and a layer of 4 x 64 and 4.
TEST(ScriptedModel, ATiedWeightIsOne) {
  const auto model = make_model(script("tied"), kTask);
  const auto parameters = model->parameters();
  ASSERT_EQ(parameters.size(), 5u);
  std::int64_t values = 0;
  for (const auto& parameter : parameters) values += parameter.numel();
  EXPECT_EQ(values, 64 * 64 + 2 * 64 + 4 * 64 + 4);
  model->loss(model->forward({Data().images}), {Data().labels}).backward();
  for (const auto& parameter : parameters) EXPECT_TRUE(parameter.grad().defined());
}

TEST(ScriptedModel, OtherDtypesBecomeFp32AndSaySo) {
  for (const auto& [name, words] :
       {std::pair{"half", "in Half)"}, {"double", "in Double)"}, {"bf16", "in BFloat16)"}}) {
    ::testing::internal::CaptureStderr();
    const auto model = make_model(script(name), kTask);
    const auto line = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(line.find("of the model are not in fp32"), std::string::npos) << line;
    EXPECT_NE(line.find(words), std::string::npos) << line;
    for (const auto& parameter : model->parameters())
      EXPECT_EQ(parameter.scalar_type(), c10::kFloat);
    const auto all = losses(name, amp::Recipe::fp32(), 60);
    EXPECT_LT(all.back(), 0.6 * all.front()) << name;
  }
}

TEST(ScriptedModel, FilesThatAreNoneAreRefused) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "not.pt").string();
  EXPECT_EQ(error_of<amp::IoError>([&] { make_model(path, kTask); }),
            path + ": no such file; give --model a file that torch.jit.save wrote");
  std::ofstream(path) << "hello";
  const auto message = error_of<amp::IoError>([&] { make_model(path, kTask); });
  EXPECT_NE(message.find("is no TorchScript model"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(ScriptedModel, AModelThatDoesNotFitTheDataSaysBothShapes) {
  const auto model = make_model(script("convnet"), kTask);
  EXPECT_EQ(
      error_of<amp::InvalidArgument>([&] {
        check_model(*model, "m.pt", ShapeTask({1, 8, 8, 10}));
      }),
      "model m.pt: for images of shape [2, 1, 8, 8] it must return logits of shape [2, 10] (2 "
      "images, 10 classes), got [2, 4] of Float");
  const auto message = error_of<amp::InvalidArgument>([&] {
    check_model(*model, "m.pt", ShapeTask({3, 8, 8, 4}));
  });
  EXPECT_EQ(message.find("model m.pt: given images of shape [2, 3, 8, 8] it failed: "), 0U)
      << message;
}

}  // namespace
}  // namespace ampersand::tests::script_model_test
