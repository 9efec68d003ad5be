// The built-in models, optimizers and the number of steps: what their names stand for.
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "amp/optim.h"
#include "app/models/model.h"
#include "app/training/optimizers.h"
#include "app/training/trainer.h"
#include "tests/app/errors.h"
#include "tests/tasks/common/shape_task.h"

namespace ampersand::tests::models_test {
namespace {

using Sizes = std::vector<std::int64_t>;

std::int64_t parameters_of(const std::string& name, const amp::ModelShape& shape) {
  const ShapeTask task(shape);
  std::int64_t count = 0;
  for (const auto& parameter : make_model(name, task)->parameters()) count += parameter.numel();
  return count;
}

TEST(Models, HaveTheirParameters) {
  // 784 x 2048 + 2048, 2048 x 2048 + 2048, 2048 x 10 + 10
  EXPECT_EQ(parameters_of("mlp", {}), 1'607'680 + 4'196'352 + 20'490);
  // 9 x 32 + 32, 9 x 32 x 64 + 64, 64 x 7 x 7 x 128 + 128, 128 x 10 + 10
  EXPECT_EQ(parameters_of("cnn", {}), 320 + 18'496 + 401'536 + 1'290);
}

TEST(Models, TakeImagesOfOtherShapes) {
  for (const std::string name : {"mlp", "cnn", "resnet18"}) {
    const ShapeTask task({.channels = 1, .height = 5, .width = 9, .classes = 3});
    const auto model = make_model(name, task);
    EXPECT_EQ(model->forward({at::zeros({2, 1, 5, 9})}).sizes(), (Sizes{2, 3})) << name;
  }
}

TEST(Models, AreRefused) {
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { make_model("vgg", ShapeTask({})); }),
            "--model must be mlp, cnn, resnet18, gpt, lstm, seq2seq, speech, LIBRARY.so with a "
            "model of your own "
            "or FILE.pt of TorchScript, got 'vgg'");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { make_model("cnn", ShapeTask({.height = 3})); }),
            "model cnn: images must be at least 4 x 4 pixels, got 3 x 28");
}

TEST(Optimizers, TakeTheirSettings) {
  Settings settings;
  settings.learning_rate = 0.25;
  settings.momentum = 0.5;
  settings.weight_decay = 0.125;
  const auto made = [&](const char* name) {
    settings.optimizer = name;
    return make_optimizer(settings, {at::zeros({1}).requires_grad_()});
  };
  const auto sgd = made("sgd");
  const auto& sgd_options = dynamic_cast<amp::optim::SGD&>(*sgd).options();
  EXPECT_EQ(sgd_options.lr, 0.25);
  EXPECT_EQ(sgd_options.momentum, 0.5);
  EXPECT_EQ(sgd_options.weight_decay, 0.125);
  const auto expect_options = [](const auto& options) {
    EXPECT_EQ(options.lr, 0.25);
    EXPECT_EQ(options.weight_decay, 0.125);
  };
  expect_options(dynamic_cast<amp::optim::Adam&>(*made("adam")).options());
  expect_options(dynamic_cast<amp::optim::AdamW&>(*made("adamw")).options());
  expect_options(dynamic_cast<amp::optim::Lamb&>(*made("lamb")).options());
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { made("lion"); }),
            "--optimizer must be sgd, adam, adamw or lamb, got 'lion'");
}

TEST(PlannedSteps, AreOfTheEpochsUnlessStepsAreGiven) {
  Settings settings;
  settings.batch_size = 4;
  settings.epochs = 3;
  EXPECT_EQ(planned_steps(settings, 10), 9);
  settings.batch_size = 5;
  EXPECT_EQ(planned_steps(settings, 10), 6);
  settings.steps = 7;
  EXPECT_EQ(planned_steps(settings, 10), 7);
}

}  // namespace
}  // namespace ampersand::tests::models_test
