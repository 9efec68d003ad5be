// Experiment: replays say what another way of training would have given, and leave the training alone.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/script.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "amp/amp.h"

namespace amp::tests::experiment_test {
namespace {

namespace nn = torch::nn;

// Linear, batch norm, dropout, and a cast of its own.
class NetImpl : public nn::Module {
 public:
  NetImpl() {
    in = register_module("in", nn::Linear(6, 8));
    norm = register_module("norm", nn::BatchNorm1d(8));
    drop = register_module("drop", nn::Dropout(0.25));
    out = register_module("out", nn::Linear(8, 3));
  }
  at::Tensor forward(const at::Tensor& x) { return out(drop(at::relu(norm(in(x))))); }
  nn::Linear in{nullptr}, out{nullptr};
  nn::BatchNorm1d norm{nullptr};
  nn::Dropout drop{nullptr};
};
TORCH_MODULE(Net);

at::Tensor inputs_of(std::int64_t step) {
  at::manual_seed(100 + static_cast<std::uint64_t>(step));
  return at::randn({10, 6});
}
at::Tensor targets() { return at::arange(10).remainder(3); }

struct Bits {
  std::vector<at::Tensor> tensors;
  double scale = 0;
};

// A training of ten steps; `between` is called before each.
Bits trained(const Recipe& recipe, bool fused,
             const std::function<void(Experiment&, std::int64_t)>& between) {
  at::manual_seed(3);
  Net net;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  if (fused)
    optimizer = std::make_unique<optim::AdamW>(net->parameters(), optim::AdamWOptions{.lr = 0.01});
  else
    optimizer = std::make_unique<torch::optim::Adam>(net->parameters(), 0.01);
  TrainStep train_step(net, *optimizer, recipe);
  Experiment experiment(net, train_step);
  auto random = at::globalContext().defaultGenerator(at::kCPU);
  for (std::int64_t step = 1; step <= 10; ++step) {
    const auto x = inputs_of(step);
    at::manual_seed(static_cast<std::uint64_t>(step));
    const auto loss = [net](at::TensorList all) mutable {
      return at::cross_entropy_loss(net->forward(all[0]), all[1]);
    };
    const std::vector<at::Tensor> batch = {x, targets()};
    experiment.keep(step, batch, loss);
    between(experiment, step);
    train_step(batch, loss);
  }
  Bits bits;
  for (const auto& [name, tensor] : train_step.weights()) bits.tensors.push_back(tensor.clone());
  for (const auto& buffer : net->buffers()) bits.tensors.push_back(buffer.clone());
  bits.tensors.push_back(at::rand({3}));
  bits.tensors.push_back(at::tensor(static_cast<double>(net->is_training())));
  bits.scale = train_step.scaler().get_scale();
  return bits;
}

void play_everything(Experiment& experiment, std::int64_t step) {
  auto other = Recipe::bf16();
  other.max_grad_norm = 0.1;
  for (const auto& variation :
       std::vector<Variation>{{},
                              {.wide = c10::kFloat},
                              {.wide = c10::kDouble, .keep_gradients = true},
                              {.recipe = other, .steps = 3},
                              {.loss_scale = 1e30},
                              {.eval = true},
                              {.samples = {1, 4}},
                              {.learning_rate = 100, .steps = 4},
                              {.wide = c10::kFloat, .steps = 2, .same_batch = true},
                              {.perturb = 5}}) {
    EXPECT_TRUE(experiment.play(step, variation).played);
    experiment.play(experiment.steps().front(), variation);
  }
}

class Untouched : public testing::TestWithParam<std::pair<std::string, bool>> {};
TEST_P(Untouched, ByReplays) {
  const auto& [name, fused] = GetParam();
  const auto recipe = name == "fp32"   ? Recipe::fp32()
                      : name == "bf16" ? Recipe::bf16()
                      : name == "O2"   ? Recipe::O2()
                                       : Recipe::fp16();
  const auto alone = trained(recipe, fused, [](Experiment&, std::int64_t) {});
  const auto watched = trained(recipe, fused, play_everything);
  EXPECT_EQ(alone.scale, watched.scale);
  ASSERT_EQ(alone.tensors.size(), watched.tensors.size());
  for (std::size_t i = 0; i < alone.tensors.size(); ++i)
    EXPECT_TRUE(alone.tensors[i].equal(watched.tensors[i])) << i;
}
INSTANTIATE_TEST_SUITE_P(Recipes, Untouched,
                         testing::Values(std::pair("fp32", false), std::pair("bf16", true),
                                         std::pair("fp16", false), std::pair("fp16", true),
                                         std::pair("O2", false), std::pair("O2", true)));

TEST(Experiment, AReplayIsTheStep) {
  at::manual_seed(3);
  Net net;
  net->drop->eval();  // the inputs' seeds would be its own
  torch::optim::Adam optimizer(net->parameters(), 0.01);
  TrainStep train_step(net, optimizer, Recipe::bf16());
  Experiment experiment(net, train_step);
  const auto loss = [net](at::TensorList all) mutable {
    return at::cross_entropy_loss(net->forward(all[0]), all[1]);
  };
  std::vector<double> losses;
  for (std::int64_t step = 1; step <= 4; ++step) {
    const std::vector<at::Tensor> batch = {inputs_of(step), targets()};
    experiment.keep(step, batch, loss);
    losses.push_back(train_step(batch, loss).loss().item<double>());
  }
  for (std::int64_t step = 1; step <= 4; ++step)
    EXPECT_TRUE(experiment.reproduces(step, losses[static_cast<std::size_t>(step - 1)])) << step;
  // Four steps from the first state are the training.
  EXPECT_EQ(experiment.play(1, {.steps = 4}).losses, losses);
}

// Of an O2 model the masters take the steps, and the model follows them.
TEST(Experiment, StepsOfAnO2ModelAreTheTraining) {
  at::manual_seed(3);
  nn::Linear linear(4, 2);
  optim::AdamW optimizer(linear->parameters(), optim::AdamWOptions{.lr = 0.1});
  auto recipe = Recipe::O2();
  recipe.scaler.init_scale = 256;
  TrainStep train_step(linear, optimizer, recipe);
  Experiment experiment(linear, train_step);
  const auto loss = [linear](at::TensorList all) mutable {
    return linear->forward(all[0]).to(at::kFloat).square().sum();
  };
  std::vector<double> losses;
  for (std::int64_t step = 1; step <= 5; ++step) {
    const std::vector<at::Tensor> batch = {at::ones({3, 4}, at::kHalf)};
    experiment.keep(step, batch, loss);
    losses.push_back(train_step(batch, loss).loss().item<double>());
  }
  const auto again = experiment.play(1, {.steps = 5});
  ASSERT_EQ(again.losses.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    EXPECT_NEAR(again.losses[i], losses[i], 1e-3 * losses[0]);
  EXPECT_LT(losses.back(), losses.front() / 2);
}

// x rounded to fp16 and summed there, times w: a cast of the model's own.
TEST(Experiment, WideUndoesTheModelsOwnCasts) {
  nn::Linear linear(nn::LinearOptions(4, 1).bias(false));
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  TrainStep train_step(linear, optimizer, Recipe::fp16());
  Experiment experiment(linear, train_step);
  const auto x = at::tensor({1.0 + 1e-7, 2049.0, 1e-9, 3.0}, at::kDouble).unsqueeze(0);
  const auto loss = [linear](at::TensorList all) mutable {
    const auto low = all[0].to(at::kHalf);
    const auto sums = at::zeros({1, 4}, at::kHalf);
    return linear->forward((low + sums).to(all[0].scalar_type()).to(at::kFloat)).sum();
  };
  experiment.keep(1, {x}, loss);
  const auto fp64 = experiment.play(1, {.wide = c10::kDouble, .keep_gradients = true});
  ASSERT_TRUE(fp64.is_finite());
  EXPECT_TRUE(fp64.gradients.at(0).second.equal(x));
  const auto fp32 = experiment.play(1, {.wide = c10::kFloat, .keep_gradients = true});
  EXPECT_TRUE(fp32.gradients.at(0).second.equal(x.to(at::kFloat).to(at::kDouble)));
  const auto fp16 = experiment.play(1, {.loss_scale = 1.0, .keep_gradients = true});
  EXPECT_EQ(fp16.gradients.at(0).second[0][2].item<double>(), 0);
  EXPECT_EQ(fp16.gradients.at(0).second[0][1].item<double>(), 2048);
}

TEST(Experiment, AnOpAloneIsWidened) {
  nn::Linear linear(nn::LinearOptions(1, 1).bias(false));
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  TrainStep train_step(linear, optimizer, Recipe::fp32());
  Experiment experiment(linear, train_step);
  const auto loss = [linear](at::TensorList) mutable {
    const auto many = at::full({4}, 30000.0, at::kHalf);
    return linear->weight.sum() * at::mul(many, 3).max().to(at::kFloat);
  };
  experiment.keep(1, {}, loss);
  EXPECT_FALSE(experiment.play(1).is_finite());
  EXPECT_TRUE(experiment.play(1, {.wide = c10::kFloat, .wide_ops = {"mul"}}).is_finite());
  EXPECT_FALSE(experiment.play(1, {.wide = c10::kFloat, .wide_ops = {"add"}}).is_finite());
  EXPECT_TRUE(experiment.play(1, {.wide = c10::kFloat}).is_finite());
}

TEST(Experiment, SaysWhatWasNotFinite) {
  at::manual_seed(3);
  nn::Linear linear(2, 2);
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  TrainStep train_step(linear, optimizer, Recipe::fp32());
  Experiment experiment(linear, train_step);
  const auto x = at::tensor({1.0F, 2.0F, std::nanf(""), 0.0F, 3.0F, 4.0F}).reshape({3, 2});
  experiment.keep(7, {x},
                  [linear](at::TensorList all) mutable { return linear->forward(all[0]).sum(); });
  const auto all = experiment.play(7);
  EXPECT_FALSE(all.finite_loss);
  EXPECT_THAT(all.non_finite, testing::ElementsAre("weight"));
  EXPECT_EQ(experiment.samples(7), 3);
  EXPECT_TRUE(experiment.play(7, {.samples = {0, 2}}).is_finite());
  EXPECT_FALSE(experiment.play(7, {.samples = {1}}).is_finite());
  EXPECT_FALSE(experiment.play(8).played);
  experiment.keep(9, {x}, [](at::TensorList) -> at::Tensor { throw std::runtime_error("no"); });
  const auto thrown = experiment.play(9);
  ASSERT_TRUE(thrown.thrown.has_value());
  EXPECT_EQ(thrown.thrown->message, "no");
}

TEST(Experiment, KeepsTheFirstAndTheLastStates) {
  nn::Linear linear(2, 2);
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  TrainStep train_step(linear, optimizer, Recipe::fp32());
  Experiment experiment(linear, train_step, {.states = 2});
  for (std::int64_t step = 1; step <= 6; ++step) {
    experiment.keep(step, {}, [linear]() {
      return [linear](at::TensorList) { return linear->weight.sum(); };
    }());
    if (step == 3) experiment.pin(3);
  }
  EXPECT_THAT(experiment.steps(), testing::ElementsAre(1, 3, 5, 6));
  experiment.unpin(3);
  EXPECT_THAT(experiment.steps(), testing::ElementsAre(1, 5, 6));
  // One state of six numbers is always kept.
  Experiment tight(linear, train_step, {.memory = 1});
  tight.keep(1, {}, [](at::TensorList) { return at::Tensor(); });
  tight.keep(2, {}, [](at::TensorList) { return at::Tensor(); });
  EXPECT_THAT(tight.steps(), testing::Contains(2));
  EXPECT_THROW(Experiment(linear, train_step, {.states = 0}), InvalidArgument);
}

TEST(Experiment, WithinAWindowTheStateIsThatOfItsFirst) {
  at::manual_seed(3);
  nn::Linear linear(2, 2);
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  auto recipe = Recipe::fp32();
  recipe.accumulation = 2;
  TrainStep train_step(linear, optimizer, recipe);
  Experiment experiment(linear, train_step);
  std::vector<double> losses;
  for (std::int64_t step = 1; step <= 4; ++step) {
    const std::vector<at::Tensor> batch = {at::full({1, 2}, static_cast<double>(step))};
    const auto loss = [linear](at::TensorList all) mutable {
      return linear->forward(all[0]).square().sum();
    };
    experiment.keep(step, batch, loss);
    losses.push_back(train_step(batch, loss).loss().item<double>());
  }
  for (std::int64_t step = 1; step <= 4; ++step)
    EXPECT_EQ(experiment.play(step).losses.at(0), losses[static_cast<std::size_t>(step - 1)]);
  EXPECT_EQ(experiment.play(1, {.steps = 2}).losses, losses);
}

TEST(Experiment, OfAScript) {
  torch::jit::Module module("m");
  module.register_parameter("w", at::ones({2}).requires_grad_(), false);
  module.register_buffer("seen", at::zeros({1}));
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(R"(
def forward(self, x):
    self.seen.add_(1)
    y = self.w * x
    if self.training:
        return y.sum()
    return (y / 0.0).sum()
)");
  torch::optim::SGD optimizer({module.attr("w").toTensor()}, 0.1);
  TrainStep train_step(module, optimizer, Recipe::bf16());
  Experiment experiment(module, train_step);
  experiment.keep(1, {at::full({2}, 3.0)}, [module](at::TensorList all) mutable {
    return module.forward({all[0]}).toTensor();
  });
  EXPECT_EQ(experiment.play(1).losses.at(0), 6);
  EXPECT_FALSE(experiment.play(1, {.eval = true}).is_finite());
  EXPECT_EQ(module.attr("seen").toTensor().item<double>(), 0);
  EXPECT_TRUE(module.attr("training").toBool());
}

}  // namespace
}  // namespace amp::tests::experiment_test
