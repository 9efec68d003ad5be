// Doctor: faults that no Inf in the loss tells, and healthy trainings that look like them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cmath>
#include <limits>
#include <string>

#include "tests/doctor/training.h"

namespace amp::tests::silent_test {
namespace {

using testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

// x / sqrt(mean(x^2)), whose square overflows fp16 from 256 on; the norm is then a division by Inf.
TEST(Silent, AnOverflowThatADivisionHides) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    const auto x = (y + 2) * 300;
    return x * at::rsqrt(x.pow(2).mean(-1, true) + 1e-3) + 0 * y;
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::forward_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "pow");
  EXPECT_EQ(found.diagnosis.step, 1);
  EXPECT_EQ(found.diagnosis.fp32_too, false);
  ASSERT_TRUE(tried_and_cured(found)) << found.diagnosis.sentence;
  EXPECT_EQ(found.remedies.front().advice, "keep pow in fp32");
}

// An Inf whose place in the result is thrown away changes no gradient.
TEST(Silent, AnOverflowThatNothingReadsIsNone) {
  const auto found = examined({.middle =
                                   [](NetImpl&, const at::Tensor& y, std::int64_t) {
                                     const auto wide = (y.detach() + 2) * 1e5;
                                     return y + 0 * at::isinf(wide).to(y.scalar_type());
                                   },
                               .learning_rate = 0.3});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::clean) << found.diagnosis.sentence;
}

// Half and float tensors draw other random numbers: fp32's replay must draw what the training drew.
TEST(Silent, NoiseDrawnInLowPrecisionIsNoRounding) {
  const auto dropped = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    return y * (at::rand_like(y) > 0.3).to(y.scalar_type()) / 0.7;
  };
  const auto noisy = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    return at::relu(y) + 0.3 * at::randn_like(at::relu(y));
  };
  const auto filled = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    return y + 0.3 * at::empty_like(y).normal_();
  };
  for (const auto& middle :
       {NetImpl::Middle(dropped), NetImpl::Middle(noisy), NetImpl::Middle(filled)}) {
    for (const auto& recipe : {Recipe::fp16(), Recipe::bf16()}) {
      const auto found = examined({.middle = middle, .recipe = recipe, .learning_rate = 0.3});
      EXPECT_EQ(found.diagnosis.verdict, Verdict::clean) << found.diagnosis.sentence;
    }
  }
}

TEST(Silent, ALossWithALargeConstantLearns) {
  const auto found =
      examined({.recipe = Recipe::bf16(),
                .learning_rate = 0.5,
                .steps = 120,
                .loss = [](const at::Tensor& logits, const at::Tensor& targets) {
                  return at::cross_entropy_loss(logits.to(at::kFloat), targets) + 1000;
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::clean) << found.diagnosis.sentence;
}

TEST(Silent, ARateThatIsTooSmallByFarIsNamed) {
  const auto found = examined({.recipe = Recipe::bf16(), .learning_rate = 1e-7});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::not_learning) << found.diagnosis.sentence;
  EXPECT_THAT(found.diagnosis.sentence, HasSubstr("times the learning rate it does"));
  EXPECT_TRUE(tried_and_cured(found)) << found.diagnosis.sentence;
}

TEST(Silent, AlmostNothingIsTrained) {
  const auto found =
      examined({.recipe = Recipe::bf16(), .learning_rate = 0.3, .prepare = [](Net& net) {
                  net->in->weight.set_requires_grad(false);
                  net->in->bias.set_requires_grad(false);
                  net->out->weight.set_requires_grad(false);
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::not_learning) << found.diagnosis.sentence;
  EXPECT_THAT(found.diagnosis.sentence, HasSubstr("4 of 180 numbers"));
}

// A constant that is the same for all classes makes weights large beside their updates, and changes no loss.
TEST(Silent, OneWeightOfManyStandsStill) {
  auto recipe = Recipe::bf16();
  recipe.model_dtype = c10::kBFloat16;
  const auto found = examined({.recipe = recipe, .learning_rate = 0.02, .prepare = [](Net& net) {
                                 const at::NoGradGuard no_grad;
                                 net->out->weight.add_(8);
                               }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::precision_loss) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.parameter, "out.weight");
}

TEST(Silent, AModelsOwnCastInAnFp32TrainingIsExamined) {
  const auto found = examined({.middle =
                                   [](NetImpl&, const at::Tensor& y, std::int64_t) {
                                     const auto phase = (y * 0.5 + 300).to(at::kBFloat16);
                                     return at::cos(phase.to(at::kFloat)) + y;
                                   },
                               .recipe = Recipe::fp32(),
                               .learning_rate = 0.1});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::precision_loss) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.fp32_too, false);
  EXPECT_THAT(found.remedies.front().advice, HasSubstr("own cast"));
}

TEST(Held, WhatTheModelHoldsIsNoBadData) {
  auto held = at::zeros({16});
  held[5] = kInf;
  const auto found =
      examined({.middle = [held](NetImpl&, const at::Tensor& y, std::int64_t) { return y - held; },
                .recipe = Recipe::bf16()});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::model_nan) << found.diagnosis.sentence;
  EXPECT_THAT(found.diagnosis.sentence, HasSubstr("the model holds"));

  const auto buffered =
      examined({.middle = [](NetImpl& net, const at::Tensor& y,
                             std::int64_t) { return y - net.buffers()[0]; },
                .recipe = Recipe::bf16(),
                .prepare = [held](Net& net) { net->register_buffer("shift", held.clone()); }});
  EXPECT_EQ(buffered.diagnosis.verdict, Verdict::model_nan) << buffered.diagnosis.sentence;
  EXPECT_EQ(buffered.diagnosis.parameter, "shift");
}

// A class that is masked by -inf, and label smoothing that multiplies it by a number.
TEST(Held, AMaskThatReachesTheLossIsTheLosss) {
  const auto masked = [](NetImpl&, const at::Tensor& y, std::int64_t) { return y; };
  const auto found =
      examined({.middle = masked, .loss = [](const at::Tensor& logits, const at::Tensor& targets) {
                  const auto mask = at::full({logits.size(0), 1}, -kInf, logits.options());
                  return at::cross_entropy_loss(at::cat({logits, mask}, 1), targets, {},
                                                at::Reduction::Mean, -100, 0.1);
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::model_nan) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.op, "cross_entropy_loss");
  EXPECT_EQ(found.diagnosis.fp32_too, true);
}

TEST(Held, AWeightThatO2sCastMakesInf) {
  const auto found =
      examined({.recipe = Recipe::O2(), .learning_rate = 1e-9, .prepare = [](Net& net) {
                  const at::NoGradGuard no_grad;
                  net->out->bias.fill_(1e5);
                }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::forward_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.parameter, "out.bias");
  EXPECT_EQ(found.diagnosis.fp32_too, false);
}

// Where all numbers that overflow share a coordinate, it is said.
TEST(Place, TheFeatureThatOverflows) {
  const auto found = examined({.middle = [](NetImpl&, const at::Tensor& y, std::int64_t) {
    auto gains = at::ones({16}, y.options());
    gains[3] = 60000;
    return (y.detach() * 0 + 2) * gains * y;
  }});
  EXPECT_EQ(found.diagnosis.verdict, Verdict::forward_overflow) << found.diagnosis.sentence;
  EXPECT_EQ(found.diagnosis.place, "[:, 3] of [16, 16]");
}

TEST(Place, TheLineOfAScript) {
  at::manual_seed(5);
  torch::jit::Module model("m");
  model.register_parameter("w", (at::randn({6, 4}) * 8).requires_grad_(), false);
  model.define(R"(
    def forward(self, x):
        y = torch.mm(x, self.w)
        z = torch.exp(y * y)
        return z * 1e-4
  )");
  const auto w = model.attr("w").toTensor();
  torch::optim::SGD optimizer({w}, 1e-6);
  TrainStep train_step(model, optimizer, Recipe::fp16());
  Doctor doctor(model, train_step);
  for (int step = 0; step < 40 && !doctor.is_settled(); ++step) {
    const auto x = at::randn({8, 6});
    doctor.step({x}, [model](at::TensorList all) mutable {
      return model.forward({all[0]}).toTensor().to(at::kFloat).mean();
    });
  }
  const auto& found = doctor.examination();
  EXPECT_EQ(found.diagnosis.op, "exp") << found.diagnosis.sentence;
  EXPECT_THAT(found.diagnosis.source, testing::EndsWith(":4"));
}

}  // namespace
}  // namespace amp::tests::silent_test
