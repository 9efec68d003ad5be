// What fp32 makes of the same inputs: deviations, op by op, and gradients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/inspect/deviation.h"
#include "tests/inspect/models.h"

namespace amp::tests::fp32_comparison_test {
namespace {

using inspect::deviation_of;

TEST(Deviation, IsMeasuredInEachNormAndInUlps) {
  // The root mean square is 2.3: 1/64 is an ulp of bf16 there and below, 1/32 at 4.
  const auto fp32 = at::tensor({1.0f, -2.0f, 4.0f, 0.0f});
  const auto own = at::tensor({1.0078125f, -2.0f, 4.0625f, 0.0f});
  const auto found = deviation_of(own, fp32, Format::bf16);
  EXPECT_EQ(found.compared, 4);
  EXPECT_EQ(found.lost, 0);
  EXPECT_EQ(found.beyond_ulp, 1);
  EXPECT_DOUBLE_EQ(found.max_ulps, 2);
  const double error = std::hypot(0.0078125, 0.0625);
  EXPECT_DOUBLE_EQ(found.relative_error(), error / std::sqrt(21.0));
  const double own_norm = std::sqrt(1.0078125 * 1.0078125 + 4 + 4.0625 * 4.0625);
  EXPECT_DOUBLE_EQ(found.cosine(), (1.0078125 + 4 + 16.25) / own_norm / std::sqrt(21.0));
}

TEST(Deviation, OfRoundingIsHalfAnUlpInEveryFormat) {
  at::manual_seed(3);
  const auto x = at::randn({1000, 70});
  for (const auto format : {Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    const auto found = deviation_of(quantize(x, format), x, format);
    EXPECT_LE(found.max_ulps, 0.5) << format_name(format);
    EXPECT_GT(found.max_ulps, 0.49) << format_name(format);
    EXPECT_EQ(found.beyond_ulp, 0);
    EXPECT_FALSE(found.departs(format)) << format_name(format);
    EXPECT_NEAR(found.relative_error(), format_info(format).epsilon / 4,
                format_info(format).epsilon / 10);
    // Twice the double-precision reference.
    const auto wide = x.to(at::kDouble), error = quantize(x, format).to(at::kDouble) - wide;
    EXPECT_NEAR(found.relative_error(), (error.norm() / wide.norm()).item<double>(), 1e-9);
  }
}

TEST(Deviation, CountsWhatIsLost) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto fp32 = at::tensor({1e5f, 1.0f, inf, NAN});
  const auto own = at::tensor({inf, 1.0f, 3.0f, 3.0f});
  const auto found = deviation_of(own, fp32, Format::fp16);
  EXPECT_EQ(found.lost, 1);
  EXPECT_EQ(found.compared, 1);
  EXPECT_TRUE(found.departs(Format::fp16));
}

TEST(Deviation, OfNothingIsNone) {
  const auto zeros = at::zeros({3});
  const auto found = deviation_of(zeros, zeros, Format::fp16);
  EXPECT_EQ(found.relative_error(), 0);
  EXPECT_EQ(found.cosine(), 1);
  EXPECT_FALSE(found.departs(Format::fp16));
  EXPECT_TRUE(std::isinf(deviation_of(zeros + 1, zeros, Format::fp16).relative_error()));
}

TEST(Deviation, TakesTheScaleAway) {
  const auto fp32 = at::tensor({1.0f, 2.0f});
  EXPECT_EQ(deviation_of(fp32 * 1024, fp32, Format::fp16, 1024).max_ulps, 0);
}

TEST(Deviation, SumsDoNotDependOnThreads) {
  at::manual_seed(4);
  const auto x = at::randn({300'000}), y = x.to(at::kBFloat16);
  const auto threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = deviation_of(y, x, Format::bf16);
  at::set_num_threads(3);
  const auto three = deviation_of(y, x, Format::bf16);
  at::set_num_threads(threads);
  EXPECT_EQ(one.error_squares, three.error_squares);
  EXPECT_EQ(one.products, three.products);
}

InspectorOptions beside(Format format) {
  InspectorOptions options;
  options.fp32_comparison = format;
  return options;
}

Recipe recipe_of(Format format) { return format == Format::bf16 ? Recipe::bf16() : Recipe::fp16(); }

const Fp32Comparison* find(const std::vector<Fp32Comparison>& fp32_comparisons,
                           const std::string& op, const std::string& module, Pass pass) {
  const auto found = std::ranges::find_if(fp32_comparisons, [&](const auto& one) {
    return one.op == op && one.module == module && one.pass == pass;
  });
  return found == fp32_comparisons.end() ? nullptr : &*found;
}

struct ComparedWithFp32 : testing::TestWithParam<Format> {
  // One step under autocast; the loss of it.
  double step(Inspector& inspector, Net& net, const at::Tensor& inputs, const at::Tensor& classes) {
    optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0.1});
    TrainStep train_step(*net, optimizer, recipe_of(GetParam()));
    inspector.begin_step(1, train_step.scaler().get_scale());
    const auto report = train_step([&] {
      if (inspector.recording() && !expected.empty()) inspector.expect(net->parameters(), expected);
      return loss_of(net->forward(inputs), classes);
    });
    inspector.end_step(report);
    return report.loss().item<double>();
  }
  std::vector<at::Tensor> expected;
};

TEST_P(ComparedWithFp32, EachOpOfASafeModelAgreesWithFp32) {
  auto net = make_net();
  Inspector inspector(*net, beside(GetParam()));
  const auto [inputs, classes] = rows(0);
  step(inspector, net, inputs, classes);
  const auto& fp32_comparisons = inspector.fp32_comparisons();
  for (const auto* module : {"in", "attention.q", "head.0", "head.2"}) {
    bool forward = false, backward = false;
    for (const auto& one : fp32_comparisons) {
      if (one.module != module) continue;
      (one.pass == Pass::forward ? forward : backward) = true;
      EXPECT_FALSE(one.deviation.departs(GetParam()))
          << one.op << " " << one.module << " " << one.deviation.relative_error();
    }
    EXPECT_TRUE(forward && backward) << module;
  }
  EXPECT_FALSE(inspector.first_departure().has_value());
  // The forward pass comes first.
  const auto backward = std::ranges::find(fp32_comparisons, Pass::backward, &Fp32Comparison::pass);
  EXPECT_TRUE(std::all_of(backward, fp32_comparisons.end(),
                          [](const auto& one) { return one.pass == Pass::backward; }));
}

// The reference of a linear layer's error, made without the Inspector.
TEST_P(ComparedWithFp32, TheErrorIsThatOfTheOpOnTheModelsInputs) {
  const auto dtype = GetParam() == Format::bf16 ? at::kBFloat16 : at::kHalf;
  auto net = make_net();
  Inspector inspector(*net, beside(GetParam()));
  const auto [inputs, classes] = rows(0);
  const auto weight = net->in->weight.detach().clone(), bias = net->in->bias.detach().clone();
  step(inspector, net, inputs, classes);
  const auto exact = at::linear(inputs, weight, bias).to(at::kDouble);
  const auto low = at::linear(inputs.to(dtype), weight.to(dtype), bias.to(dtype)).to(at::kDouble);
  const auto truth = ((low - exact).norm() / exact.norm()).item<double>();
  const auto* found = find(inspector.fp32_comparisons(), "linear", "in", Pass::forward);
  if (found == nullptr) found = find(inspector.fp32_comparisons(), "addmm", "in", Pass::forward);
  ASSERT_NE(found, nullptr);
  EXPECT_NEAR(found->deviation.relative_error(), truth, 0.2 * truth);
  EXPECT_EQ(found->deviation.compared, exact.numel());
}

TEST_P(ComparedWithFp32, NothingOfTheTrainingChanges) {
  auto plain = make_net(), watched = make_net();
  Inspector off(*plain, {.level = InspectLevel::off}), on(*watched, beside(GetParam()));
  const auto [inputs, classes] = rows(0);
  EXPECT_EQ(step(off, plain, inputs, classes), step(on, watched, inputs, classes));
  for (std::size_t i = 0; i < plain->parameters().size(); ++i)
    EXPECT_TRUE(plain->parameters()[i].equal(watched->parameters()[i])) << i;
}

TEST_P(ComparedWithFp32, GradientsAreComparedWithThoseExpected) {
  auto net = make_net();
  Inspector inspector(*net, beside(GetParam()));
  const auto [inputs, classes] = rows(0);
  expected = torch::autograd::grad({loss_of(net->forward(inputs), classes)}, net->parameters());
  step(inspector, net, inputs, classes);
  for (const auto& parameter : inspector.parameters()) {
    EXPECT_GT(parameter.deviation.compared, 0) << parameter.name;
    // The bias of the keys shifts all scores of a row alike: its gradient is zero but for rounding.
    if (parameter.name == "attention.k.bias") continue;
    EXPECT_EQ(parameter.deviation.lost, 0) << parameter.name;
    EXPECT_GT(parameter.deviation.cosine(), 0.99) << parameter.name;
    EXPECT_GT(parameter.deviation.relative_error(), 0) << parameter.name;
    EXPECT_LT(parameter.deviation.relative_error(), 0.1) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(, ComparedWithFp32, testing::Values(Format::bf16, Format::fp16),
                         [](const auto& format) { return format_name(format.param); });

// Scores beyond fp16: the product that makes them departs first, not the softmax behind it.
TEST(FirstDeparture, IsTheOpThatOverflowedInFp16) {
  auto net = make_net();
  {
    const at::NoGradGuard no_grad;
    net->attention->q->weight.mul_(3000);
    net->attention->k->weight.mul_(3000);
  }
  Inspector inspector(*net, beside(Format::fp16));
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0});
  TrainStep train_step(*net, optimizer, Recipe::fp16());
  inspector.begin_step(5, 1);
  const auto [inputs, classes] = rows(0);
  inspector.end_step(train_step([&] { return loss_of(net->forward(inputs), classes); }));
  const auto& departure = inspector.first_departure();
  ASSERT_TRUE(departure.has_value());
  EXPECT_EQ(departure->step, 5);
  EXPECT_EQ(departure->op.op, "matmul");
  EXPECT_EQ(departure->op.module, "attention");
  EXPECT_EQ(departure->op.pass, Pass::forward);
  EXPECT_GT(departure->op.deviation.lost, 0);
}

// 1 + r - 1: bf16 has no room for r beside 1, which the cast of the operands loses.
TEST(FirstDeparture, IsTheProductWhoseTermsCancelInBf16) {
  at::manual_seed(1);
  auto x = at::ones({64, 2});
  x.select(1, 0).add_(1e-3 * at::randn({64}));
  const auto w = at::tensor({1.0f, -1.0f}).reshape({2, 1}).requires_grad_();
  Inspector inspector(NamedTensors{{"sum.weight", w}}, beside(Format::bf16));
  inspector.begin_step(3);
  {
    const Autocast autocast(at::kCPU, at::kBFloat16);
    at::relu(at::matmul(x, w)).sum().backward();
  }
  inspector.end_step();
  ASSERT_TRUE(inspector.first_departure().has_value());
  const auto& op = inspector.first_departure()->op;
  EXPECT_EQ(op.op, "matmul");
  EXPECT_EQ(op.module, "sum");
  EXPECT_EQ(op.deviation.lost, 0);
  EXPECT_GT(op.deviation.relative_error(), 0.5);
}

TEST(Fp32Comparisons, OpsInFp32AreNotComparedWithThemselves) {
  auto net = make_net();
  Inspector inspector(*net, beside(Format::bf16));
  inspector.begin_step(1);
  const auto [inputs, classes] = rows(0);
  loss_of(net->forward(inputs), classes).backward();
  inspector.end_step();
  EXPECT_TRUE(inspector.fp32_comparisons().empty());
}

TEST(Fp32Comparisons, EmulatedFormatsAreComparedToo) {
  auto net = make_net();
  Inspector inspector(*net, beside(Format::e4m3));
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0});
  TrainStep train_step(*net, optimizer, Recipe::fp8());
  inspector.begin_step(1);
  const auto [inputs, classes] = rows(0);
  inspector.end_step(train_step([&] { return loss_of(net->forward(inputs), classes); }));
  const auto summary = inspector.fp32_comparison_summary();
  const auto found = std::ranges::find_if(summary, [](const auto& one) {
    return one.module == "head.0" && one.pass == Pass::forward && one.op != "relu";
  });
  ASSERT_NE(found, summary.end());
  EXPECT_GT(found->deviation.relative_error(), 0.005);  // e4m3 has three bits
  EXPECT_LT(found->deviation.relative_error(), 0.2);
}

TEST(Fp32Comparisons, DropoutIsLeftOutUnlessItDropsNothing) {
  const auto x = at::randn({32, 32}).requires_grad_();
  for (const double p : {0.0, 0.5}) {
    Inspector inspector(NamedTensors{{"x", x}}, beside(Format::bf16));
    inspector.begin_step(1);
    at::dropout(x.to(at::kBFloat16), p, true).sum().backward();
    inspector.end_step();
    EXPECT_EQ(find(inspector.fp32_comparisons(), "dropout", "", Pass::forward) != nullptr, p == 0)
        << p;
    if (p > 0) {
      EXPECT_NE(find(inspector.fp32_comparisons(), "dropout", "", Pass::backward), nullptr);
    }
  }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(Fp32Comparisons, TheEarlierNamesGoOnWorking) {
  torch::nn::Linear model(3, 2);
  InspectorOptions options;
  options.shadow = Format::bf16;
  Inspector inspector(*model, options);
  inspector.begin_step(1);
  {
    const Autocast autocast(c10::kCPU);
    model->forward(torch::ones({4, 3}));
  }
  inspector.end_step();
  const std::vector<ShadowRecord>& comparisons = inspector.shadows();
  EXPECT_FALSE(comparisons.empty());
  EXPECT_EQ(&comparisons, &inspector.fp32_comparisons());
  EXPECT_EQ(inspector.shadow_summary().size(), inspector.fp32_comparison_summary().size());
}
#pragma GCC diagnostic pop

TEST(Fp32Comparisons, SummaryAddsUpStepsAndClearForgets) {
  auto net = make_net();
  Inspector inspector(*net, beside(Format::bf16));
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0});
  TrainStep train_step(*net, optimizer, Recipe::bf16());
  for (int i = 0; i < 2; ++i) {
    inspector.begin_step(i);
    const auto [inputs, classes] = rows(i);
    inspector.end_step(train_step([&] { return loss_of(net->forward(inputs), classes); }));
  }
  const auto one = inspector.fp32_comparisons();
  const auto all = inspector.fp32_comparison_summary();
  std::int64_t calls = 0;
  for (const auto& sum : all) calls += sum.calls;
  EXPECT_EQ(calls, 2 * static_cast<std::int64_t>(one.size()));
  const auto json = nlohmann::json::parse(inspector.to_json());
  ASSERT_EQ(json.at("shadows").size(), all.size());
  EXPECT_EQ(json.at("shadows")[0].at("deviation").at("compared"), all[0].deviation.compared);
  inspector.clear();
  EXPECT_TRUE(inspector.fp32_comparison_summary().empty());
}

TEST(Expect, RefusesWhatDoesNotFit) {
  auto net = make_net();
  Inspector inspector(*net, beside(Format::bf16));
  const auto parameters = net->parameters();
  std::vector<at::Tensor> gradients(parameters.size());
  EXPECT_THAT([&] { inspector.expect(parameters, gradients); },
              testing::ThrowsMessage<StateError>(testing::HasSubstr("after begin_step()")));
  inspector.begin_step(1);
  EXPECT_NO_THROW(inspector.expect(parameters, gradients));
  gradients.pop_back();
  EXPECT_THAT([&] { inspector.expect(parameters, gradients); },
              testing::ThrowsMessage<InvalidArgument>(testing::HasSubstr("got 13 for 14")));
  EXPECT_THAT([&] { inspector.expect({at::ones({2})}, {at::ones({2})}); },
              testing::ThrowsMessage<InvalidArgument>(
                  testing::HasSubstr("not among the parameters of the model")));
  EXPECT_THAT([&] { inspector.expect({parameters[0]}, {at::ones({2})}); },
              testing::ThrowsMessage<InvalidArgument>(
                  testing::HasSubstr("gradient of shape [2] for 'in.weight' of shape [8, 6]")));
  inspector.end_step();
}

}  // namespace
}  // namespace amp::tests::fp32_comparison_test
