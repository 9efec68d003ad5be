// Each cause has a model in which it is the truth, and what is sound gets a clean bill.
#include <gtest/gtest.h>

#include <limits>

#include "tests/inspect/models.h"

namespace amp::tests::causes_test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Diagnosis after(Net& net, const Recipe& recipe, std::int64_t steps,
                const std::function<at::Tensor(std::int64_t)>& loss, double lr = 0.05) {
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = lr});
  Inspector inspector(*net);
  train(inspector, *net, optimizer, recipe, steps, loss);
  return inspector.diagnosis();
}

std::function<at::Tensor(std::int64_t)> usual(Net& net) {
  return [&net](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    return loss_of(net->forward(inputs), classes);
  };
}

class CleanRun : public testing::TestWithParam<const char*> {};

TEST_P(CleanRun, GetsACleanBill) {
  const std::string name = GetParam();
  auto net = make_net();
  const auto recipe = name == "fp32"   ? Recipe::fp32()
                      : name == "bf16" ? Recipe::bf16()
                                       : Recipe::fp16();
  const auto diagnosis = after(net, recipe, 30, usual(net));
  EXPECT_EQ(diagnosis.verdict, Verdict::clean) << diagnosis.sentence;
  EXPECT_EQ(diagnosis.step, -1);
}

INSTANTIATE_TEST_SUITE_P(Precisions, CleanRun, testing::Values("fp32", "bf16", "fp16"));

// A dynamic scale begins too high and comes down.
TEST(Causes, TheDescentOfADynamicScaleIsClean) {
  auto net = make_net();
  auto recipe = Recipe::fp16();
  recipe.scaler.init_scale = 0x1p40;
  const auto diagnosis = after(net, recipe, 40, usual(net));
  EXPECT_EQ(diagnosis.verdict, Verdict::clean) << diagnosis.sentence;
  EXPECT_NE(diagnosis.sentence.find("skipped"), std::string::npos) << diagnosis.sentence;
}

// The scores are products of numbers near 400: 8 of them make more than 65504.
TEST(Causes, ScoresThatOverflowInFp16) {
  auto net = make_net();
  {
    at::NoGradGuard no_grad;
    net->attention->q->weight.fill_(0);
    net->attention->k->weight.fill_(0);
    net->attention->q->bias.fill_(400);
    net->attention->k->bias.fill_(400);
  }
  const auto d = after(net, Recipe::fp16(), 3, usual(net));
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.step, 0);
  EXPECT_EQ(d.pass, Pass::forward);
  EXPECT_EQ(d.op, "matmul");
  EXPECT_EQ(d.module, "attention");
  EXPECT_EQ(d.amax, 8 * 400.0 * 400.0);
  EXPECT_EQ(d.remedy, "keep this op in fp32 or use bf16");
  EXPECT_EQ(d.sentence,
            "step 0: attention matmul's result reached 1.3e6 in fp16 (max 65504) in the forward "
            "pass; the "
            "loss scale is not the cause; keep this op in fp32 or use bf16");
}

TEST(Causes, TheSameScoresAreCleanInBf16) {
  auto net = make_net();
  {
    at::NoGradGuard no_grad;
    net->attention->q->weight.fill_(0);
    net->attention->k->weight.fill_(0);
    net->attention->q->bias.fill_(400);
    net->attention->k->bias.fill_(400);
  }
  const auto d = after(net, Recipe::bf16(), 3, usual(net));
  EXPECT_EQ(d.verdict, Verdict::clean) << d.sentence;
}

// 1e5 is no number of fp16: the cast of the input makes Inf of it.
TEST(Causes, AnInputThatFp16CannotHold) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp16(), 2, [&](std::int64_t step) {
    auto [inputs, classes] = rows(step);
    inputs[3][2] = 1e5;
    return loss_of(net->forward(inputs), classes);
  });
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.op, "addmm");  // as C++'s Linear calls it
  EXPECT_EQ(d.module, "in");
  EXPECT_EQ(d.amax, 1e5);
  EXPECT_NE(d.sentence.find("in addmm's input reached 100000 in fp16"), std::string::npos)
      << d.sentence;
}

TEST(Causes, AFixedScaleThatIsTooLarge) {
  auto net = make_net();
  const auto d = after(net, fixed_fp16(0x1p30), 5, usual(net));
  EXPECT_EQ(d.verdict, Verdict::scale_overflow) << d.sentence;
  EXPECT_EQ(d.pass, Pass::backward);
  EXPECT_EQ(d.loss_scale, 0x1p30);
  EXPECT_GT(d.amax, 65504);
  EXPECT_EQ(d.remedy.find("use dynamic loss scaling or a scale of at most "), 0u) << d.remedy;
}

// Losses of a millionth leave gradients that fp16 cannot hold unscaled.
std::function<at::Tensor(std::int64_t)> tiny(Net& net) {
  return [&net](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    return loss_of(net->forward(inputs), classes) * 1e-6;
  };
}

TEST(Causes, GradientsThatAreFlushedWithoutAScale) {
  auto net = make_net();
  auto recipe = Recipe::fp16();
  recipe.loss_scaling = LossScaling::none;
  const auto d = after(net, recipe, 5, tiny(net));
  EXPECT_EQ(d.verdict, Verdict::underflow) << d.sentence;
  EXPECT_EQ(d.pass, Pass::backward);
  EXPECT_EQ(d.loss_scale, 1);
  EXPECT_LT(d.amax, 1e-6);
  EXPECT_EQ(d.remedy.find("use dynamic loss scaling, or a scale of "), 0u) << d.remedy;
}

TEST(Causes, TheSameGradientsAreCleanWithTheScaleThatIsAdvised) {
  auto net = make_net();
  const auto d = after(net, fixed_fp16(0x1p30), 5, tiny(net));
  EXPECT_EQ(d.verdict, Verdict::clean) << d.sentence;
}

TEST(Causes, TheLogarithmOfZero) {
  auto net = make_net();
  const auto d = after(net, Recipe::bf16(), 3, [&](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    const auto logits = net->forward(inputs).to(at::kFloat);
    return (step == 2 ? logits.sub(logits).relu().log() : logits.abs().add(1).log()).mean();
  });
  EXPECT_EQ(d.verdict, Verdict::model_nan) << d.sentence;
  EXPECT_EQ(d.step, 2);
  EXPECT_EQ(d.pass, Pass::forward);
  EXPECT_EQ(d.op, "log");
  EXPECT_EQ(d.remedy, "keep its input above 0: log(clamp_min(x, eps))");
}

// The copy of a weight that the optimizer writes for the forward pass is no data of the user's.
TEST(Causes, AWeightThatFp16CannotHold) {
  auto net = make_net();
  {
    at::NoGradGuard no_grad;
    net->in->weight.fill_(1e5);
  }
  const auto d = after(net, fixed_fp16(1), 1, usual(net));
  EXPECT_EQ(d.verdict, Verdict::forward_overflow) << d.sentence;
  EXPECT_EQ(d.module, "in");
  EXPECT_EQ(d.parameter, "in.weight");
  EXPECT_EQ(d.amax, 1e5);
}

// In fp32 cross entropy is nll_loss, which gives the weight of its targets beside the loss; and the
// optimizer's first step makes its state after the backward pass.
TEST(Causes, TheLogarithmOfZeroBeforeACrossEntropyInFp32) {
  auto net = make_net();
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0.05, .momentum = 0.9});
  Inspector inspector(*net);
  train(inspector, *net, optimizer, Recipe::fp32(), 1, [&](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    const auto logits = net->forward(inputs);
    return at::cross_entropy_loss(logits.sub(logits).relu().log(), classes);
  });
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::model_nan) << d.sentence;
  EXPECT_EQ(d.pass, Pass::forward);
  EXPECT_EQ(d.op, "log");
}

TEST(Causes, TheDerivativeOfARootAtZero) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp16(), 3, [&](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    const auto logits = net->forward(inputs).to(at::kFloat);
    return loss_of(logits, classes) + logits.sub(logits.detach()).square().sqrt().sum();
  });
  EXPECT_EQ(d.verdict, Verdict::model_nan) << d.sentence;
  EXPECT_EQ(d.pass, Pass::backward);
  EXPECT_EQ(d.op, "sqrt");
  EXPECT_EQ(d.remedy, "add an epsilon inside: sqrt(x + eps)");
}

TEST(Causes, ZeroByZero) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp32(), 1, [&](std::int64_t step) {
    const auto logits = net->forward(rows(step).inputs);
    const auto zero = logits - logits;
    return (zero / zero).mean();
  });
  EXPECT_EQ(d.verdict, Verdict::model_nan) << d.sentence;
  EXPECT_EQ(d.op, "div");
}

// Masks are -inf on purpose; a row of nothing else is not.
at::Tensor masked(const at::Tensor& logits, const at::Tensor& mask) {
  return at::softmax(logits.masked_fill(mask, -kInfinity), -1);
}

TEST(Causes, AMaskIsNoFault) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp16(), 3, [&](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    auto mask = at::zeros({16, 4}, at::kBool);
    mask.select(1, 3).fill_(true);
    return masked(net->forward(inputs), mask).square().mean();
  });
  EXPECT_EQ(d.verdict, Verdict::clean) << d.sentence;
}

TEST(Causes, ARowThatIsMaskedWhole) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp16(), 1, [&](std::int64_t step) {
    const auto [inputs, classes] = rows(step);
    auto mask = at::zeros({16, 4}, at::kBool);
    mask[5].fill_(true);
    return masked(net->forward(inputs), mask).square().mean();
  });
  EXPECT_EQ(d.verdict, Verdict::model_nan) << d.sentence;
  EXPECT_EQ(d.op, "softmax");
  EXPECT_EQ(d.remedy, "leave one entry of each row unmasked");
}

TEST(Causes, AnInputThatIsNaN) {
  auto net = make_net();
  const auto d = after(net, Recipe::fp16(), 4, [&](std::int64_t step) {
    auto [inputs, classes] = rows(step);
    if (step == 3) inputs[7][0] = kNaN;
    return loss_of(net->forward(inputs), classes);
  });
  EXPECT_EQ(d.verdict, Verdict::bad_data) << d.sentence;
  EXPECT_EQ(d.step, 3);
  EXPECT_NE(d.sentence.find("NaN"), std::string::npos);
}

TEST(Causes, ATargetThatIsInf) {
  auto net = make_net();
  auto target = at::zeros({16, 4});
  target[1][1] = kInfinity;
  const auto d = after(net, Recipe::bf16(), 1, [&](std::int64_t step) {
    return at::mse_loss(net->forward(rows(step).inputs).to(at::kFloat), target);
  });
  EXPECT_EQ(d.verdict, Verdict::bad_data) << d.sentence;
  EXPECT_EQ(d.op, "mse_loss");
}

TEST(Causes, AClassThatThereIsNot) {
  auto net = make_net();
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0.05});
  Inspector inspector(*net);
  TrainStep train_step(*net, optimizer, Recipe::bf16());
  inspector.begin_step(0);
  auto [inputs, classes] = rows(0);
  classes[2] = 12;
  try {
    inspector.end_step(train_step([&] { return loss_of(net->forward(inputs), classes); }));
    FAIL() << "LibTorch took a class of 12 among 4";
  } catch (const c10::Error& error) {
    inspector.fail_step(error.what());
  }
  const auto d = inspector.diagnosis();
  EXPECT_EQ(d.verdict, Verdict::bad_data) << d.sentence;
  EXPECT_EQ(d.amax, 12);
  EXPECT_NE(d.sentence.find("class 12 of 4"), std::string::npos) << d.sentence;
}

TEST(Causes, ALearningRateThatExplodes) {
  for (const auto& recipe : {Recipe::fp32(), Recipe::bf16(), Recipe::fp16()}) {
    auto net = make_net();
    const auto d = after(
        net, recipe, 60,
        [&](std::int64_t step) {
          const auto [inputs, classes] = rows(step);
          const auto logits = net->forward(inputs).to(at::kFloat);
          return at::mse_loss(logits, inputs.narrow(1, 0, 4));
        },
        30.0);
    EXPECT_EQ(d.verdict, Verdict::divergence) << d.sentence;
    EXPECT_EQ(d.remedy, "lower the learning rate, warm it up, or clip the gradients");
  }
}

}  // namespace
}  // namespace amp::tests::causes_test
