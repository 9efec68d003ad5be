// O2 and O3: a model kept in low precision, with and without fp32 masters.
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>

#include "amp/autocast.h"
#include "amp/error.h"
#include "amp/train_step.h"
#include "tests/support/mlp.h"

namespace amp::tests::master_weights_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class NormedImpl : public torch::nn::Module {
 public:
  NormedImpl() {
    register_module("linear", linear);
    register_module("norm", norm);
    to(test_device());
  }
  at::Tensor forward(const at::Tensor& input) { return norm(linear(input)); }
  torch::nn::Linear linear{6, 4};
  torch::nn::BatchNorm1d norm{4};
};

c10::ScalarType dtype_of(const torch::nn::Module& model, const std::string& name) {
  for (const auto& item : model.named_parameters())
    if (item.key() == name) return item.value().scalar_type();
  for (const auto& item : model.named_buffers())
    if (item.key() == name) return item.value().scalar_type();
  throw std::runtime_error(name);
}

TEST(MasterWeights, O2HasFp16WeightsAndFp32MastersInTheOptimizer) {
  NormedImpl model;
  const auto first = model.linear->weight.detach().clone();
  torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.1));
  auto recipe = Recipe::O2();
  recipe.scaler.init_scale = 64;
  TrainStep step(model, optimizer, recipe);
  EXPECT_EQ(dtype_of(model, "linear.weight"), at::kHalf);
  EXPECT_EQ(dtype_of(model, "norm.weight"), at::kFloat);
  EXPECT_EQ(dtype_of(model, "norm.running_var"), at::kFloat);
  const auto& masters = optimizer.param_groups()[0].params();
  ASSERT_EQ(masters.size(), 4U);
  for (const auto& master : masters) EXPECT_EQ(master.scalar_type(), at::kFloat);
  // From the values before the cast, not from the rounded ones.
  EXPECT_THAT(masters[0], IsIdenticalTo(first));
  EXPECT_THAT(at::Tensor(model.linear->weight), IsIdenticalTo(first.to(at::kHalf)));
  EXPECT_EQ(masters[2].unsafeGetTensorImpl(), model.norm->weight.unsafeGetTensorImpl());
  // Its batch norm is fp32, its input fp16.
  EXPECT_TRUE(step([&] { return model.forward(batch(0).inputs).square().mean(); }).stepped());
  EXPECT_FALSE(at::equal(masters[0], first));
}

TEST(MasterWeights, BatchNormIsConvertedWhenAsked) {
  NormedImpl model;
  torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.1));
  auto recipe = Recipe::O2();
  recipe.keep_batchnorm_fp32 = false;
  TrainStep step(model, optimizer, recipe);
  EXPECT_EQ(dtype_of(model, "norm.weight"), at::kHalf);
  EXPECT_EQ(dtype_of(model, "norm.running_mean"), at::kHalf);
  EXPECT_EQ(dtype_of(model, "norm.num_batches_tracked"), at::kLong);
  EXPECT_TRUE(step([&] { return model.forward(batch(0).inputs).square().mean(); }).at_boundary());
}

// The master after each step is what a hand-written O2 gives: fp16 weights are the rounded masters,
// gradients of several micro-batches are added in fp32.
TEST(MasterWeights, StepsAreThoseOfAHandWrittenLoop) {
  auto recipe = Recipe::O2();
  recipe.loss_scaling = LossScaling::fixed;
  recipe.static_scale = 128;
  recipe.accumulation = 2;
  MlpImpl ours;
  const auto optimizer = make_optimizer("sgd", ours.parameters());
  TrainStep step(ours, *optimizer, recipe);

  MlpImpl theirs;
  std::vector<at::Tensor> masters, low;
  for (auto& weight : theirs.parameters()) {
    masters.push_back(weight.detach().clone());
    weight.set_data(weight.to(at::kHalf));
    low.push_back(weight);
  }
  const auto reference = make_optimizer("sgd", masters);
  for (int i = 0; i < 12; ++i) {
    const auto report = step([&] { return loss_of(ours, batch(i)); });
    {
      at::Tensor loss;
      {
        Autocast autocast(test_device().type(), at::kHalf);
        loss = loss_of(theirs, batch(i));
      }
      EXPECT_EQ(loss.item<double>(), report.loss().item<double>());
      (loss / 2 * 128).backward();
    }
    for (std::size_t p = 0; p < low.size(); ++p) {
      const auto gradient = low[p].grad().to(at::kFloat);
      masters[p].mutable_grad() =
          masters[p].grad().defined() ? masters[p].grad() + gradient : gradient;
      low[p].mutable_grad().reset();
    }
    if (i % 2 == 0) continue;
    EXPECT_TRUE(report.stepped());
    for (auto& master : masters) master.mutable_grad().div_(128);
    reference->step();
    reference->zero_grad();
    at::NoGradGuard no_grad;
    for (std::size_t p = 0; p < low.size(); ++p) low[p].copy_(masters[p]);
  }
  std::size_t p = 0;
  for (const auto& [name, value] : step.weights()) EXPECT_THAT(value, IsIdenticalTo(masters[p++]));
  p = 0;
  for (const auto& weight : ours.parameters()) EXPECT_THAT(weight, IsIdenticalTo(low[p++]));
}

TEST(MasterWeights, ASkippedStepChangesNeitherMasterNorModel) {
  MlpImpl model;
  const auto optimizer = make_optimizer("adam", model.parameters());
  TrainStep step(model, *optimizer, Recipe::O2());
  const auto before = step.weights();
  std::vector<at::Tensor> copies, low;
  for (const auto& [name, value] : before) copies.push_back(value.clone());
  for (const auto& weight : model.parameters()) low.push_back(weight.detach().clone());
  const auto report =
      step([&] { return loss_of(model, batch(0)) * std::numeric_limits<float>::infinity(); });
  EXPECT_TRUE(report.skipped());
  for (std::size_t i = 0; i < copies.size(); ++i)
    EXPECT_THAT(step.weights()[i].second, IsIdenticalTo(copies[i]));
  for (std::size_t i = 0; i < low.size(); ++i)
    EXPECT_THAT(model.parameters()[i], IsIdenticalTo(low[i]));
  for (const auto& weight : model.parameters()) EXPECT_FALSE(weight.grad().defined());
  for (const auto& master : optimizer->param_groups()[0].params())
    EXPECT_FALSE(master.grad().defined());
}

// Updates far below fp16's resolution add up in the masters, and are lost without them.
TEST(MasterWeights, SmallUpdatesSurvive) {
  const auto moved = [](const Recipe& recipe) {
    auto model = torch::nn::Linear(1, 1);
    model->to(test_device());
    {
      at::NoGradGuard no_grad;
      model->weight.fill_(1.0);
    }
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(1e-4));
    TrainStep step(*model, optimizer, recipe);
    for (int i = 0; i < 100; ++i)
      step([&] { return model(at::ones({1, 1}, test_device())).to(at::kFloat).sum(); });
    return 1.0 - at::Tensor(model->weight).item<double>();
  };
  EXPECT_NEAR(moved(Recipe::O2()), 0.01, 0.001);
  EXPECT_EQ(moved(Recipe::O3()), 0.0);
}

TEST(MasterWeights, AnOptimizersStateMovesToTheMasters) {
  MlpImpl model;
  torch::optim::Adam optimizer(model.parameters(), torch::optim::AdamOptions(0.01));
  loss_of(model, batch(0)).backward();
  optimizer.step();
  optimizer.zero_grad();
  ASSERT_EQ(optimizer.state().size(), 4U);
  TrainStep step(model, optimizer, Recipe::O2());
  EXPECT_EQ(optimizer.state().size(), 4U);
  EXPECT_TRUE(step([&] { return loss_of(model, batch(1)); }).stepped());
  for (const auto& master : optimizer.param_groups()[0].params()) {
    const auto& state = optimizer.state().at(master.unsafeGetTensorImpl());
    EXPECT_EQ(static_cast<const torch::optim::AdamParamState&>(*state).step(), 2);
  }
}

TEST(MasterWeights, O3IsLowPrecisionAllThrough) {
  NormedImpl model;
  torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.1));
  TrainStep step(model, optimizer, Recipe::O3());
  for (const auto& weight : model.parameters()) EXPECT_EQ(weight.scalar_type(), at::kHalf);
  EXPECT_EQ(step.scaler().is_enabled(), false);
  const auto before = model.linear->weight.detach().clone();
  EXPECT_TRUE(step([&] { return model.forward(batch(0).inputs).square().mean() * 10; }).stepped());
  EXPECT_FALSE(at::equal(before, model.linear->weight));
}

TEST(MasterWeights, S8_6_O3WithLossScalingIsRefusedByName) {
  MlpImpl model;
  const auto optimizer = make_optimizer("adam", model.parameters());
  auto recipe = Recipe::O3();
  recipe.loss_scaling = LossScaling::dynamic;
  EXPECT_THAT([&] { TrainStep(model, *optimizer, recipe); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("O3"), HasSubstr("torch::optim::Adam"), HasSubstr("O2()"))));
  for (const auto& weight : model.parameters()) EXPECT_EQ(weight.scalar_type(), at::kFloat);
}

TEST(MasterWeights, AModelThatIsFp16AlreadyHasNoMastersToGive) {
  MlpImpl model;
  model.to(at::kHalf);
  const auto optimizer = make_optimizer("sgd", model.parameters());
  EXPECT_THAT([&] { TrainStep(model, *optimizer, Recipe::O2()); },
              ThrowsMessage<InvalidArgument>(
                  AllOf(HasSubstr("first.weight"), HasSubstr("convert the model to Float"))));
  EXPECT_NO_THROW(TrainStep(model, *optimizer, Recipe::O3()));
}

TEST(MasterWeights, ATiedWeightHasOneMaster) {
  MlpImpl model;
  model.register_parameter("again", model.first->weight);
  torch::optim::SGD optimizer({model.first->weight}, torch::optim::SGDOptions(0.5));
  TrainStep step(model, optimizer, Recipe::O2());
  EXPECT_TRUE(step([&] { return loss_of(model, batch(0)); }).stepped());
  const auto weights = step.weights();
  EXPECT_EQ(weights.front().second.data_ptr(), weights.at(1).second.data_ptr());
  EXPECT_EQ(weights.front().second.scalar_type(), at::kFloat);
}

TEST(MasterWeights, LoadedWeightsReachMasterAndModel) {
  MlpImpl model, source;
  {
    at::NoGradGuard no_grad;
    for (auto& weight : source.parameters()) weight.add_(0x1p-20);
  }
  NamedTensors values;
  for (const auto& item : source.named_parameters()) values.emplace_back(item.key(), item.value());
  const auto optimizer = make_optimizer("sgd", model.parameters());
  TrainStep step(model, *optimizer, Recipe::O2());
  step.load_weights(values);
  const auto weights = step.weights();
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_THAT(weights[i].second, IsIdenticalTo(values[i].second));
    EXPECT_THAT(model.parameters()[i], IsIdenticalTo(values[i].second.to(at::kHalf)));
  }
}

TEST(MasterWeights, WeightsThatDoNotFitChangeNothing) {
  MlpImpl model;
  const auto before = weights_of(model);
  const auto optimizer = make_optimizer("sgd", model.parameters());
  TrainStep step(model, *optimizer, Recipe::fp32());
  NamedTensors values;
  for (const auto& [name, value] : step.weights()) values.emplace_back(name, at::ones_like(value));
  const auto refused = [&](const NamedTensors& given, const char* message) {
    EXPECT_THAT([&] { step.load_weights(given); },
                ThrowsMessage<InvalidArgument>(HasSubstr(message)));
    EXPECT_THAT(weights_of(model), AreExactly(before));
  };
  auto missing = values;
  missing.pop_back();
  refused(missing, "'second.bias' is missing");
  auto extra = values;
  extra.emplace_back("third.bias", at::ones({3}));
  refused(extra, "has no 'third.bias'");
  auto other = values;
  other.back().second = at::ones({4});
  refused(other, "'second.bias' has shape [4], the model's has [3]");
}

}  // namespace
}  // namespace amp::tests::master_weights_test
