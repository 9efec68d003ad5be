// GRU, RNN and packed LSTM networks under the fast and unified policies against LibTorch's own in double precision.
#include <random>

#include "tests/autocast/recurrent_networks.h"

namespace amp::tests::recurrence::recurrent_networks_test {
namespace {

Setting drawn(unsigned seed) {
  std::mt19937 engine(seed);
  const auto number = [&](std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(engine);
  };
  Setting setting;
  setting.kind = static_cast<Kind>(number(0, 3));
  setting.layers = number(1, 3);
  setting.size = number(1, 9);
  setting.hidden = number(2, 9);
  setting.batch = number(1, 5);
  setting.time = number(1, 12);
  setting.bias = number(0, 3) > 0;
  setting.bidirectional = number(0, 1) == 1;
  setting.batch_first = number(0, 1) == 1;
  setting.packed = number(0, 1) == 1;
  if (setting.kind == Kind::lstm && number(0, 1) == 1) setting.projection = setting.hidden - 1;
  return setting;
}

TEST(RecurrentNetworks, RandomSettingsNearDouble) {
  for (unsigned seed = 1; seed <= 80; ++seed) {
    const auto setting = drawn(seed);
    for (const auto low : {at::kBFloat16, at::kHalf}) {
      SCOPED_TRACE(setting.text() + ", seed " + std::to_string(seed) + ", " + c10::toString(low));
      const auto model = made(setting);
      round_weights(model, low);
      std::vector<Results> got;
      for (const auto& policy : policies())
        got.push_back(
            run(model, operands(setting, low, seed % 2 == 0 ? at::kFloat : low), low, policy));
      model.module->to(at::kDouble);
      const auto exact = run(model, operands(setting, low, at::kDouble), low, {});
      for (const auto& results : got) {
        EXPECT_EQ(results.outputs[0].scalar_type(), low);
        // Outputs are rounded once a layer, gradients once more.
        expect_near(results.outputs, exact.outputs, 3 * unit(low), "output");
        // Where a sum that is nearly zero rounds past it, relu's derivative is another one.
        const bool jumps = setting.kind == Kind::relu && low == at::kBFloat16;
        if (!jumps) expect_near(results.gradients, exact.gradients, 8 * unit(low), "gradient");
      }
    }
  }
}

TEST(RecurrentNetworks, StatesComeBackInTheDtypeTheyWereGivenIn) {
  const Setting setting;
  const auto model = made(setting);
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  for (const auto as : {at::kFloat, at::kBFloat16}) {
    const auto outputs = model.call(operands(setting, at::kBFloat16, as));
    EXPECT_EQ(outputs[0].scalar_type(), at::kBFloat16);
    EXPECT_EQ(outputs[1].scalar_type(), as);
  }
}

TEST(RecurrentNetworks, GradientsCanBeDifferentiatedAgain) {
  std::vector<Setting> settings;
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::lstm}) {
    settings.push_back({.kind = kind, .layers = 2, .bidirectional = true, .packed = true});
    settings.push_back({.kind = kind, .batch_first = true});
  }
  settings.push_back({.kind = Kind::lstm, .projection = 4, .packed = true});
  for (const auto& setting : settings) {
    SCOPED_TRACE(setting.text());
    const auto penalty = [&](const Model& model, c10::ScalarType as, bool region) {
      const auto given = operands(setting, at::kBFloat16, as);
      Tensor output;
      {
        const Autocast autocast(at::kCPU, at::kBFloat16,
                                {.enabled = region, .policy = OpPolicy::fast(at::kCPU)});
        output = model.call(given)[0];
      }
      const auto first = torch::autograd::grad({output.to(at::kDouble).square().sum()},
                                               {given.input}, {}, true, true)[0];
      Tensors inputs = {given.input, given.h0};
      for (const auto& parameter : model.module->parameters()) inputs.push_back(parameter);
      return torch::autograd::grad({first.to(at::kDouble).square().sum()}, inputs);
    };
    const auto model = made(setting);
    round_weights(model, at::kBFloat16);
    const auto ours = penalty(model, at::kFloat, true);
    model.module->to(at::kDouble);
    expect_near(ours, penalty(model, at::kDouble, false), 20 * 0x1p-8, "second gradient");
  }
}

// What the rules do not take is LibTorch's: fp64, which no rule casts, and its errors.
TEST(RecurrentNetworks, LeavesTheRestToLibTorch) {
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::relu}) {
    const Setting setting = {.kind = kind};
    const auto model = made(setting);
    model.module->to(at::kDouble);
    const auto given = operands(setting, at::kBFloat16, at::kDouble);
    const auto expected = model.call(given)[0];
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
    EXPECT_TRUE(model.call(given)[0].equal(expected));
    auto wrong = given;
    wrong.input = at::randn({6, 3, 4}, at::kDouble);
    EXPECT_THROW(model.call(wrong), c10::Error);
  }
  torch::nn::GRUCell cell(4, 4);
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  EXPECT_THROW(cell(at::randn({3, 5})), c10::Error);
}

TEST(RecurrentNetworks, DropsOutBetweenLayersInTraining) {
  at::manual_seed(1);
  torch::nn::GRU gru(torch::nn::GRUOptions(5, 8).num_layers(2).dropout(0.5));
  const auto input = at::randn({6, 3, 5});
  const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = OpPolicy::fast(at::kCPU)});
  const auto output = [&] { return std::get<0>(gru(input)); };
  EXPECT_FALSE(output().equal(output()));
  gru->eval();
  EXPECT_TRUE(output().equal(output()));
  const auto recorded = output().detach();
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(output().equal(recorded));
}

TEST(RecurrentNetworks, RulesOfTheLists) {
  for (const auto* op : {"gru.input", "gru.data", "rnn_tanh.input", "rnn_tanh.data",
                         "rnn_relu.input", "rnn_relu.data", "lstm.input", "lstm.data"}) {
    EXPECT_EQ(OpPolicy::fast(at::kCPU).rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::unified().rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule(op), CastRule::keep) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCPU).rule(op), CastRule::keep) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCUDA).rule(op), CastRule::keep) << op;
  }
  for (const auto* op : {"gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell"}) {
    EXPECT_EQ(OpPolicy::fast(at::kCPU).rule(op), CastRule::fp32_inside) << op;
    EXPECT_EQ(OpPolicy::unified().rule(op), CastRule::fp32_inside) << op;
    EXPECT_EQ(OpPolicy::fast(at::kCUDA).rule(op), CastRule::lower_precision) << op;
    EXPECT_EQ(OpPolicy::torch(at::kCPU).rule(op), CastRule::keep) << op;
  }
}

}  // namespace
}  // namespace amp::tests::recurrence::recurrent_networks_test
