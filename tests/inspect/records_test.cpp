// What a recorded step holds: ops with their modules and numbers, parameters, casts.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/inspect/models.h"

namespace amp::tests::records_test {
namespace {

using testing::AllOf;
using testing::Field;

// The first op of this name and pass.
const OpRecord* find(const Inspector& inspector, const std::string& called_as,
                     const std::string& module, Pass pass) {
  for (const auto& op : inspector.ops()) {
    if (op.called_as == called_as && op.module == module && op.pass == pass) return &op;
  }
  return nullptr;
}

struct Watched {
  explicit Watched(InspectorOptions options = {}) : inspector(*net, std::move(options)) {}
  void step(std::int64_t number, const Recipe& recipe = Recipe::fp32()) {
    optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0});
    TrainStep train_step(*net, optimizer, recipe);
    inspector.begin_step(number, train_step.scaler().get_scale());
    inspector.end_step(train_step([&] {
      const auto [inputs, classes] = rows(number);
      return loss_of(net->forward(inputs), classes);
    }));
  }
  Net net = make_net();
  Inspector inspector;
};

TEST(Records, OpsHaveTheirModules) {
  Watched watched;
  watched.step(0);
  const auto& inspector = watched.inspector;
  for (const auto pass : {Pass::forward, Pass::backward}) {
    for (const auto* module :
         {"in", "attention.q", "attention.k", "attention.v", "attention.out", "head.0", "head.2"})
      EXPECT_NE(find(inspector, "addmm", module, pass), nullptr) << module;
    EXPECT_NE(find(inspector, "softmax", "attention", pass), nullptr);
    EXPECT_NE(find(inspector, "matmul", "attention", pass), nullptr);
    EXPECT_NE(find(inspector, "relu", "head.1", pass), nullptr);
    EXPECT_NE(find(inspector, "cross_entropy_loss", "", pass), nullptr);
  }
}

TEST(Records, UnderAutocastToo) {
  Watched watched;
  watched.step(0, Recipe::bf16());
  watched.step(1, Recipe::bf16());  // with casts of the weights that are there already
  const auto* op = find(watched.inspector, "addmm", "attention.q", Pass::forward);
  ASSERT_NE(op, nullptr);
  EXPECT_EQ(op->dtype, "bf16");
  EXPECT_NE(find(watched.inspector, "addmm", "head.2", Pass::backward), nullptr);
  EXPECT_NE(find(watched.inspector, "softmax", "attention", Pass::backward), nullptr);
}

// The number of targets, which a mean is divided by, is no gradient.
TEST(Records, CountsAreNoGradients) {
  auto net = make_net();
  Inspector inspector(*net);
  optim::SGD optimizer(net->parameters(), optim::SGDOptions{.lr = 0});
  TrainStep train_step(*net, optimizer, Recipe::bf16());
  inspector.begin_step(0);
  inspector.end_step(train_step([&] {
    const auto [inputs, classes] = rows(0);
    return at::cross_entropy_loss(net->forward(inputs), classes);
  }));
  int seen = 0;
  for (const auto& op : inspector.ops()) {
    if (op.pass == Pass::forward || op.called_as != "cross_entropy_loss") continue;
    ++seen;
    EXPECT_LT(op.output.statistics.amax, 16) << op.op;  // of 16 targets
  }
  EXPECT_GT(seen, 0);
}

TEST(Records, ForwardComesBeforeBackwardAndNothingOfTheOptimizer) {
  Watched watched;
  watched.step(0);
  const auto& ops = watched.inspector.ops();
  ASSERT_FALSE(ops.empty());
  EXPECT_TRUE(std::ranges::is_sorted(ops, {}, &OpRecord::pass));
  for (const auto& op : ops) EXPECT_NE(op.op, "addcdiv_");
}

// A linear layer whose numbers are known.
TEST(Records, NumbersOfAnOp) {
  torch::nn::Linear layer(torch::nn::LinearOptions(2, 2).bias(false));
  {
    at::NoGradGuard no_grad;
    layer->weight.copy_(at::tensor({2.0f, 0.0f, 0.0f, 0x1p-20f}).view({2, 2}));
  }
  Inspector inspector(*layer, {.formats = {Format::fp16, Format::e4m3}});
  inspector.begin_step(3, 4.0);
  const auto x = at::tensor({3.0f, 1.0f, -500.0f, 0.0f}).view({2, 2});
  const auto y = layer->forward(x);  // [[6, 2^-20], [-1000, 0]]
  (y.sum() * at::scalar_tensor(4.0)).backward();
  inspector.end_step();

  const auto* op = find(inspector, "matmul", "", Pass::forward);
  ASSERT_NE(op, nullptr);
  EXPECT_EQ(op->dtype, "fp32");
  EXPECT_EQ(op->input_amax, 500);
  EXPECT_TRUE(op->inputs_finite);
  const auto& [statistics, exponents, formats, dtype] = op->output;
  EXPECT_EQ(statistics.amax, 1000);
  EXPECT_EQ(statistics.total, 4);
  EXPECT_EQ(statistics.zeros, 1);
  EXPECT_EQ(exponents.counts[2 + 149], 1);  // 6
  EXPECT_EQ(exponents.counts[9 + 149], 1);  // 1000
  EXPECT_EQ(exponents.counts[-20 + 149], 1);
  ASSERT_EQ(formats.size(), 2u);
  // 2^-20 is subnormal in fp16 and zero in e4m3, where 1000 is beyond 448.
  EXPECT_EQ(formats[0].loss.subnormal, 1);
  EXPECT_EQ(formats[0].overflow(), 0);
  EXPECT_DOUBLE_EQ(formats[1].flushed(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(formats[1].overflow(), 1.0 / 3);

  ASSERT_EQ(inspector.parameters().size(), 1u);
  const auto& parameter = inspector.parameters()[0];
  EXPECT_EQ(parameter.name, "weight");
  EXPECT_EQ(parameter.weight.statistics.amax, 2);
  EXPECT_EQ(parameter.gradients, 1);
  EXPECT_EQ(parameter.gradient.statistics.amax, 4 * 497);  // the columns of x: -497 and 1
  EXPECT_EQ(parameter.gradient_amax(), 497);
  EXPECT_EQ(*inspector.evidence().steps[0].loss, -994);
}

TEST(Records, WithoutHistogramsAmaxAndCountsRemain) {
  Watched watched({.histograms = false});
  watched.step(0);
  const auto* op = find(watched.inspector, "addmm", "in", Pass::forward);
  ASSERT_NE(op, nullptr);
  EXPECT_TRUE(op->output.formats.empty());
  EXPECT_GT(op->output.statistics.amax, 0);
  EXPECT_EQ(std::ranges::count(op->output.exponents.counts, 0), 278);
}

TEST(Records, SumsOverSteps) {
  Watched watched;
  for (int step = 0; step < 3; ++step) watched.step(step);
  const auto summary = watched.inspector.summary();
  const auto in = std::ranges::find_if(
      summary, [](const auto& op) { return op.module == "in" && op.pass == Pass::forward; });
  ASSERT_NE(in, summary.end());
  EXPECT_EQ(in->calls, 3);
  EXPECT_EQ(in->output.statistics.total, 3 * 16 * 8);
  const auto per_step = watched.inspector.ops().size();
  EXPECT_EQ(watched.inspector.evidence().steps.size(), 3u);
  EXPECT_LT(summary.size(), 2 * per_step);
  watched.inspector.clear();
  EXPECT_TRUE(watched.inspector.summary().empty());
  EXPECT_TRUE(watched.inspector.evidence().steps.empty());
}

TEST(Records, CastsAreCounted) {
  Watched watched;
  watched.step(0, Recipe::bf16());
  const auto casts = watched.inspector.casts();
  const auto linear = std::ranges::find(casts, "addmm", &CastCount::op);
  ASSERT_NE(linear, casts.end());
  EXPECT_EQ(linear->calls, 7);
  EXPECT_EQ(linear->rule, CastRule::lower_precision);
  EXPECT_GT(linear->bytes, 0);
}

TEST(Records, TheReportIsJson) {
  Watched watched;
  watched.step(0, Recipe::fp16());
  const auto report = nlohmann::json::parse(watched.inspector.to_json());
  EXPECT_EQ(report["diagnosis"]["verdict"], "clean");
  EXPECT_EQ(report["steps"].size(), 1u);
  EXPECT_EQ(report["parameters"].size(), 14u);
  ASSERT_FALSE(report["ops"].empty());
  std::int64_t counted = 0;
  const auto& output = report["ops"][0]["output"];
  for (const auto& count : output["exponents"]["counts"]) counted += count.get<std::int64_t>();
  EXPECT_EQ(counted + output["zeros"].get<std::int64_t>(), output["total"]);
}

}  // namespace
}  // namespace amp::tests::records_test
