// Masters follow a model whose weights were changed, and know what was added to the training.
#include <gtest/gtest.h>
#include <torch/serialize.h>

#include <functional>
#include <sstream>
#include <string>

#include "amp/apex.h"
#include "amp/checkpoint.h"
#include "amp/error.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "tests/support/here.h"
#include "tests/support/mlp.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training.h"

namespace amp::tests::following_test {
namespace {

using ampersand::tests::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

Recipe o2() {
  auto recipe = Recipe::O2();
  recipe.loss_scaling = LossScaling::none;
  return recipe;
}

// A step with a gradient of zero: the weights stay what they are for the optimizer.
template <typename Model>
auto idle(Model& model) {
  return [&model] {
    at::Tensor loss;
    for (const auto& weight : model.parameters()) {
      const auto part = (weight * 0).sum().to(at::kFloat);
      loss = loss.defined() ? loss + part : part;
    }
    return loss;
  };
}

struct Change {
  const char* name;
  std::function<void(MlpImpl& model, const at::Tensor& wanted)> make;
};

// Each leaves `wanted`, whose numbers are fp16's, in the first weight.
const Change kChanges[] = {
    {"copy_",
     [](MlpImpl& model, const at::Tensor& wanted) {
       at::NoGradGuard no_grad;
       model.first->weight.copy_(wanted);
     }},
    {"data",
     [](MlpImpl& model, const at::Tensor& wanted) { model.first->weight.data().copy_(wanted); }},
    {"set_data",
     [](MlpImpl& model, const at::Tensor& wanted) {
       model.first->weight.set_data(wanted.to(at::kHalf));
     }},
    {"set_data to fp32",
     [](MlpImpl& model, const at::Tensor& wanted) {
       model.first->weight.set_data(wanted.to(at::kFloat).clone());
     }},
    {"load",
     [](MlpImpl& model, const at::Tensor& wanted) {
       auto other = std::make_shared<MlpImpl>();
       other->to(test_device());
       other->first->weight.data().copy_(wanted);
       other->to(at::kHalf);
       std::stringstream file;
       torch::serialize::OutputArchive out;
       other->save(out);
       out.save_to(file);
       torch::serialize::InputArchive in;
       in.load_from(file, test_device());
       model.load(in);
     }},
    {"load_weights",
     [](MlpImpl& model, const at::Tensor& wanted) {
       auto weights = named_weights(model);
       for (auto& [name, value] : weights)
         value = name == "first.weight" ? wanted.clone() : value.detach().clone();
       load_weights(model, weights);
     }},
};

at::Tensor wanted() { return pattern({8, 6}, 11, 23, 1.0 / 8); }

class Following : public testing::TestWithParam<const char*> {};

TEST_P(Following, AChangedModelIsWhatTheNextStepGoesOnFrom) {
  for (const auto& change : kChanges) {
    if (!on_cpu() && std::string(change.name) == "data") continue;  // as master_weights.h says
    MlpImpl model;
    const auto optimizer = make_optimizer(GetParam(), model.parameters());
    TrainStep train_step(model, *optimizer, o2());
    train_step(idle(model));
    change.make(model, wanted());
    train_step(idle(model));
    EXPECT_EQ(model.first->weight.scalar_type(), at::kHalf) << change.name;
    EXPECT_THAT(model.first->weight, IsIdenticalTo(wanted().to(at::kHalf))) << change.name;
    EXPECT_THAT(optimizer->param_groups()[0].params()[0], IsIdenticalTo(wanted())) << change.name;
  }
}

TEST_P(Following, WeightsShowAChangeAtOnce) {
  for (const auto& change : kChanges) {
    if (!on_cpu() && std::string(change.name) == "data") continue;
    MlpImpl model;
    const auto optimizer = make_optimizer(GetParam(), model.parameters());
    TrainStep train_step(model, *optimizer, o2());
    change.make(model, wanted());
    EXPECT_THAT(train_step.weights()[0].second, IsIdenticalTo(wanted())) << change.name;
  }
}

TEST_P(Following, InitializeToo) {
  for (const auto& change : kChanges) {
    if (!on_cpu() && std::string(change.name) == "data") continue;
    MlpImpl model;
    const auto optimizer = make_optimizer(GetParam(), model.parameters());
    auto handle = initialize(model, *optimizer, "O2");
    change.make(model, wanted());
    { handle.scale_loss(idle(model)(), *optimizer)->backward(); }
    handle.step(*optimizer);
    EXPECT_THAT(at::Tensor(model.first->weight).to(at::kFloat), IsIdenticalTo(wanted()))
        << change.name;
    EXPECT_THAT(handle.weights()[0].second, IsIdenticalTo(wanted())) << change.name;
  }
}

INSTANTIATE_TEST_SUITE_P(MasterWeights, Following, testing::Values("sgd", "Adam"));

TEST(MasterWeights, LoadedFullValuesReachTheMasters) {
  const auto fine = wanted() + 1.0 / 4096;  // no fp16 numbers
  const auto load_fp32 = [&](MlpImpl& model) {
    auto weights = named_weights(model);
    for (auto& [name, value] : weights)
      value = name == "first.weight" ? fine.clone() : value.detach().clone();
    load_weights(model, weights);
  };
  MlpImpl model;
  auto optimizer = sgd(model.parameters());
  TrainStep train_step(model, optimizer, o2());
  load_fp32(model);
  EXPECT_THAT(train_step.weights()[0].second, IsIdenticalTo(fine));
  model.first->weight.set_data(fine.clone() + 1);
  train_step(idle(model));
  EXPECT_THAT(train_step.weights()[0].second, IsIdenticalTo(fine + 1));
  EXPECT_THAT(model.first->weight, IsIdenticalTo((fine + 1).to(at::kHalf)));
}

TEST(MasterWeights, WhatWasNotChangedKeepsItsFp32Digits) {
  MlpImpl model;
  const auto fine = wanted() + 1.0 / 4096;
  model.first->weight.data().copy_(fine);
  auto optimizer = sgd(model.parameters());
  TrainStep train_step(model, optimizer, o2());
  model.first->weight.data()[0][0] = 5;
  train_step(idle(model));
  auto expected = fine.clone();
  expected[0][0] = 5;
  if (on_cpu()) {
    EXPECT_THAT(train_step.weights()[0].second, IsIdenticalTo(expected));
  }
}

TEST(MasterWeights, AWeightOfAnotherShapeIsRefusedByName) {
  MlpImpl model;
  auto optimizer = sgd(model.parameters());
  TrainStep train_step(model, optimizer, o2());
  model.second->weight.set_data(at::zeros({2, 2}, model.second->weight.options()));
  EXPECT_THAT([&] { train_step(idle(model)); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("'second.weight'"), HasSubstr("[2, 2]"), HasSubstr("[3, 8]"))));
}

TEST(MasterWeights, AnFp32FileThatTorchLoadReadsIntoAnFp16ModelIsRefusedByName) {
  if (!on_cpu()) GTEST_SKIP() << "from another device LibTorch reads it another way";
  MlpImpl model;
  auto optimizer = sgd(model.parameters());
  std::stringstream file;
  torch::serialize::OutputArchive out;
  model.save(out);
  out.save_to(file);
  TrainStep train_step(model, optimizer, o2());
  torch::serialize::InputArchive in;
  in.load_from(file);
  model.load(in);
  EXPECT_THAT([&] { train_step(idle(model)); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("'first.weight'"), HasSubstr("amp::load_weights"))));
}

bool has(const NamedTensors& weights, const std::string& name, at::Tensor* value = nullptr) {
  for (const auto& [own, tensor] : weights) {
    if (own != name) continue;
    if (value != nullptr) *value = tensor;
    return true;
  }
  return false;
}

TEST(AddedParameters, OfAModuleThatIsRegisteredLaterAreInWeightsAndCheckpoints) {
  for (const auto& recipe : {Recipe::bf16(), o2()}) {
    MlpImpl model;
    optim::AdamW optimizer(model.parameters(), optim::AdamWOptions{});
    TrainStep train_step(model, optimizer, recipe);
    train_step(idle(model));
    torch::nn::Linear head(2, 2);
    head->to(test_device());
    model.register_module("head", head);
    optimizer.add_param_group(torch::optim::OptimizerParamGroup(head->parameters()));
    train_step(idle(model));
    EXPECT_TRUE(has(train_step.weights(), "head.weight"));
    const TemporaryFolder folder;
    const auto saved = Checkpoint::open(save_checkpoint(folder.path(), train_step, 2));
    at::Tensor value;
    ASSERT_TRUE(has(saved.tensors("weights"), "head.weight", &value));
    EXPECT_THAT(value, IsIdenticalTo(head->weight.detach().cpu()));
    head->weight.data().zero_();
    saved.restore(train_step);
    EXPECT_THAT(at::Tensor(head->weight).cpu(), IsIdenticalTo(value));
  }
}

TEST(AddedParameters, AnUnfrozenWeightOfAnO2ModelGetsAMaster) {
  MlpImpl model;
  for (auto& weight : model.first->parameters()) weight.set_requires_grad(false);
  auto optimizer = sgd(model.second->parameters(), 1.0);
  TrainStep train_step(model, optimizer, o2());
  for (auto& weight : model.first->parameters()) weight.set_requires_grad(true);
  optimizer.add_param_group(torch::optim::OptimizerParamGroup(model.first->parameters()));
  const auto before = at::Tensor(model.first->weight).detach().to(at::kFloat).clone();
  EXPECT_TRUE(train_step([&] { return (model.first->weight * 0x1p-13).sum(); }).stepped());
  EXPECT_THAT(train_step.weights()[0].second, IsIdenticalTo(before - 0x1p-13))
      << "less than fp16 can tell";
}

}  // namespace
}  // namespace amp::tests::following_test
