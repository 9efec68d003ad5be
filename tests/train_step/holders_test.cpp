// A model is taken from whatever holds it.
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/modules/container/sequential.h>

#include <memory>

#include "amp/apex.h"
#include "amp/error.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"
#include "tests/support/training.h"

namespace amp::tests::holders_test {
namespace {

template <typename Holder>
void expect_training(Holder model) {
  auto optimizer = sgd(model->parameters());
  TrainStep train_step(model, optimizer, Recipe::fp32());
  const auto report = train_step([&] { return model->forward(batch(0).inputs).square().sum(); });
  EXPECT_TRUE(report.stepped());
  EXPECT_EQ(train_step.weights().size(), model->parameters().size());
}

TEST(Holders, OfATrainStep) {
  Mlp holder;
  expect_training(holder);
  torch::nn::Sequential layers(torch::nn::Linear(6, 4), torch::nn::Linear(4, 1));
  layers->to(test_device());
  expect_training(layers);
  expect_training(std::make_shared<MlpImpl>());
  expect_training(holder.ptr());
  expect_training(std::make_unique<MlpImpl>());
  expect_training(holder.get());
}

TEST(Holders, AConstHolderHoldsNoConstModule) {
  const Mlp model;
  auto optimizer = sgd(model->parameters());
  EXPECT_EQ(TrainStep(model, optimizer, Recipe::fp32()).weights().size(), 4U);
}

TEST(Holders, OfABaseClass) {
  const std::shared_ptr<torch::nn::Module> model = std::make_shared<MlpImpl>();
  auto optimizer = sgd(model->parameters());
  TrainStep train_step(model, optimizer, Recipe::fp32());
  EXPECT_EQ(train_step.weights().size(), 4U);
}

TEST(Holders, ModulesThemselvesAreTakenAsBefore) {
  MlpImpl model;
  torch::nn::Module& base = model;
  auto optimizer = sgd(model.parameters());
  EXPECT_EQ(TrainStep(model, optimizer, Recipe::fp32()).weights().size(), 4U);
  EXPECT_EQ(TrainStep(base, optimizer, Recipe::fp32()).weights().size(), 4U);
  torch::jit::Module script("m");
  script.register_parameter("weight", parameter({1.0}), false);
  auto other = sgd({script.attr("weight").toTensor()});
  EXPECT_EQ(TrainStep(script, other, Recipe::fp32()).weights().size(), 1U);
}

TEST(Holders, OfInitialize) {
  Mlp model;
  auto optimizer = sgd(model->parameters());
  EXPECT_EQ(initialize(model, optimizer, "O0").weights().size(), 4U);
  EXPECT_EQ(initialize(model.ptr(), optimizer, "O0").weights().size(), 4U);
}

TEST(Holders, AnEmptyOneIsRefused) {
  Mlp model;
  auto optimizer = sgd(model->parameters());
  const Mlp none(nullptr);
  EXPECT_THROW(TrainStep(none, optimizer, Recipe::fp32()), InvalidArgument);
  EXPECT_THROW(TrainStep(std::shared_ptr<MlpImpl>(), optimizer, Recipe::fp32()), InvalidArgument);
}

}  // namespace
}  // namespace amp::tests::holders_test
