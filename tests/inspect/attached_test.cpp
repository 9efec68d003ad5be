// What it can be attached to, and where: TorchScript, plain functions, custom functions, several
// micro-batches, several threads.
#include <ATen/ThreadLocalState.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/script.h>

#include <algorithm>
#include <set>
#include <thread>

#include "tests/inspect/models.h"

namespace amp::tests::attached_test {
namespace {

bool has(const Inspector& inspector, const std::string& called_as, const std::string& module,
         Pass pass) {
  return std::ranges::any_of(inspector.ops(), [&](const auto& op) {
    return op.called_as == called_as && op.module == module && op.pass == pass;
  });
}

torch::jit::Module scripted() {
  torch::jit::Module fc("__torch__.torch.nn.modules.linear.Linear");
  at::manual_seed(3);
  fc.register_parameter("weight", at::randn({4, 6}).set_requires_grad(true), false);
  fc.register_parameter("bias", at::zeros({4}).set_requires_grad(true), false);
  fc.define("def forward(self, x):\n  return torch.linear(x, self.weight, self.bias)\n");
  torch::jit::Module model("__torch__.Model");
  model.register_module("fc", fc);
  model.define("def forward(self, x):\n  return torch.exp(self.fc.forward(x) * 3)\n");
  return model;
}

std::vector<at::Tensor> parameters_of(const torch::jit::Module& model) {
  std::vector<at::Tensor> found;
  for (const auto& tensor : model.parameters()) found.push_back(tensor);
  return found;
}

TEST(Attached, ToTorchScript) {
  auto model = scripted();
  optim::SGD optimizer(parameters_of(model), optim::SGDOptions{.lr = 1e-3});
  Inspector inspector(model);
  TrainStep train_step(model, optimizer, Recipe::fp16());
  for (int step = 0; step < 3; ++step) {
    inspector.begin_step(step, train_step.scaler().get_scale());
    inspector.end_step(train_step([&] {
      return model.forward({rows(step).inputs * (step == 2 ? 1e3 : 1e-3)})
          .toTensor()
          .to(at::kFloat)
          .mean();
    }));
    if (step == 0) {
      EXPECT_TRUE(has(inspector, "linear", "fc", Pass::forward));
      EXPECT_TRUE(has(inspector, "linear", "fc", Pass::backward));
      EXPECT_TRUE(has(inspector, "exp", "", Pass::forward));
      EXPECT_TRUE(has(inspector, "exp", "", Pass::backward));
      ASSERT_EQ(inspector.parameters().size(), 2u);
      EXPECT_EQ(inspector.parameters()[0].name, "fc.weight");
      EXPECT_EQ(inspector.parameters()[0].gradients, 1);
    }
  }
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.step, 2) << d.sentence;
  EXPECT_EQ(d.op, "exp");
}

TEST(Attached, ToAPlainFunction) {
  const auto w = at::full({3}, 300.0).requires_grad_();
  Inspector inspector(NamedTensors{{"encoder.scale.w", w}});
  inspector.begin_step(0);
  (w.to(at::kHalf) * w.to(at::kHalf)).sum().backward();
  inspector.end_step();
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.op, "mul");
  EXPECT_EQ(d.module, "encoder.scale");
  EXPECT_EQ(d.amax, 9e4);
}

struct Halve : torch::autograd::Function<Halve> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x / 2;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    return {gradients[0].mul(1e30).mul(1e30)};  // Inf
  }
};

TEST(Attached, ToACustomFunction) {
  auto net = make_net();
  Inspector inspector(*net);
  inspector.begin_step(0);
  const ModuleScope scope(*net->attention);
  Halve::apply(net->forward(rows(0).inputs)).sum().backward();
  inspector.end_step();
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.pass, Pass::backward);
  EXPECT_EQ(d.op, "mul");  // that the user's derivative calls, and not the div of the forward pass
  EXPECT_EQ(d.module, "attention");
}

TEST(Attached, ToSeveralMicroBatches) {
  auto net = make_net();
  auto recipe = Recipe::bf16();
  recipe.accumulation = 3;
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0.1});
  TrainStep train_step(*net, optimizer, recipe);
  Inspector inspector(*net);
  inspector.begin_step(0);
  StepReport report;
  for (int i = 0; i < 3; ++i) {
    report = train_step([&] {
      auto [inputs, classes] = rows(i);
      if (i == 1) inputs[0][0] = kNaN;
      return loss_of(net->forward(inputs), classes);
    });
  }
  inspector.end_step(report);
  EXPECT_EQ(inspector.parameters()[0].gradients, 3);
  const auto calls = std::ranges::count_if(inspector.ops(), [](const auto& op) {
    return op.module == "in" && op.op == "addmm" && op.pass == Pass::forward;
  });
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(inspector.diagnosis().verdict, Verdict::bad_data) << inspector.diagnosis().sentence;
}

TEST(Attached, ToTheSeparateCalls) {
  auto net = make_net();
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  GradScaler scaler({.init_scale = 0x1p40});
  Inspector inspector(*net);
  inspector.set_dynamic_scaling(false);
  inspector.begin_step(0, scaler.get_scale());
  at::Tensor loss;
  {
    const Autocast autocast(at::kCPU, at::kHalf);
    const auto [inputs, classes] = rows(0);
    loss = loss_of(net->forward(inputs), classes);
  }
  scaler.scale(loss).backward();
  const auto result = scaler.step(optimizer);
  scaler.update();
  EXPECT_FALSE(result.non_finite_parameters().empty());
  inspector.end_step(result);
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::scale_overflow) << d.sentence;
  EXPECT_EQ(d.module, "head");  // the cast of the logits
  EXPECT_EQ(d.op, "to");
}

TEST(Attached, ModuleScopesName) {
  auto net = make_net();
  Inspector inspector(*net);
  inspector.begin_step(0);
  const auto y = net->in(rows(0).inputs);
  {
    const ModuleScope outer("head");
    const ModuleScope unknown("none of the model's");
    y.exp();
  }
  y.sin();
  inspector.end_step();
  EXPECT_TRUE(has(inspector, "exp", "head", Pass::forward));
  EXPECT_TRUE(has(inspector, "sin", "", Pass::forward));
}

TEST(Attached, ThreadsHaveTheirOwn) {
  const auto work = [](std::uint64_t seed, std::set<std::string>& dtypes, const Recipe& recipe) {
    auto net = std::make_shared<NetImpl>();
    optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0.1});
    Inspector inspector(*net);
    TrainStep train_step(*net, optimizer, recipe);
    for (int step = 0; step < 5; ++step) {
      inspector.begin_step(step, train_step.scaler().get_scale());
      inspector.end_step(train_step([&] {
        const auto [inputs, classes] = rows(static_cast<std::int64_t>(seed) + step);
        return loss_of(net->forward(inputs), classes);
      }));
      for (const auto& op : inspector.ops()) {
        if (op.op == "addmm") dtypes.insert(op.dtype);
      }
    }
  };
  std::set<std::string> first, second;
  std::thread a([&] { work(1, first, Recipe::bf16()); });
  std::thread b([&] { work(2, second, Recipe::fp16()); });
  a.join();
  b.join();
  EXPECT_EQ(first, std::set<std::string>{"bf16"});
  EXPECT_EQ(second, std::set<std::string>{"fp16"});
}

TEST(Attached, ThreadsThatTakeOverTheStateAreSeen) {
  auto net = make_net();
  Inspector inspector(*net);
  inspector.begin_step(0);
  const at::ThreadLocalState state;
  std::thread other([&] {
    const at::ThreadLocalStateGuard guard(state);
    net->in(rows(0).inputs);
  });
  other.join();
  std::thread stranger([&] { net->attention->q(at::zeros({2, 8})); });
  stranger.join();
  inspector.end_step();
  EXPECT_TRUE(has(inspector, "addmm", "in", Pass::forward));
  EXPECT_FALSE(has(inspector, "addmm", "attention.q", Pass::forward));
}

}  // namespace
}  // namespace amp::tests::attached_test
