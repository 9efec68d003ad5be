// Recurrent networks and cells over 1,024 steps and more, whose weight gradients torch's bf16 has off by half.
#include <algorithm>
#include <cmath>

#include "tests/autocast/recurrent_networks.h"

namespace amp::tests::recurrence::long_recurrence_test {
namespace {

// The largest relative error of a weight's gradient, and torch's list's.
struct Errors {
  double ours = 0, torchs = 0;
};

double relative(const Tensor& got, const Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// `loss` calls the module on what it is given in fp64, fp32 or a region.
template <typename Loss>
Errors errors_of_weights(const std::shared_ptr<torch::nn::Module>& module, c10::ScalarType low,
                         const OpPolicy& policy, const Loss& loss) {
  const auto gradients = [&](const std::optional<OpPolicy>& under) {
    Tensor sum;
    {
      const Autocast autocast(at::kCPU, low, {.enabled = under.has_value(), .policy = under});
      sum = loss(module->parameters()[0].scalar_type());
    }
    return torch::autograd::grad({sum}, module->parameters());
  };
  const auto ours = gradients(policy), torchs = gradients(OpPolicy::torch(at::kCPU));
  module->to(at::kDouble);
  const auto exact = gradients(std::nullopt);
  module->to(at::kFloat);
  Errors errors;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    errors.ours = std::max(errors.ours, relative(ours[i], exact[i]));
    errors.torchs = std::max(errors.torchs, relative(torchs[i], exact[i]));
  }
  return errors;
}

// At most 1 %, and never worse than torch. Where a sum that is nearly zero rounds past it, relu's derivative
// is another one, whatever is computed in fp32.
void expect_small(const Errors& errors, bool is_relu) {
  EXPECT_LT(errors.ours, is_relu ? 0.1 : 0.01);
  EXPECT_LE(errors.ours, errors.torchs * (is_relu ? 1.25 : 1));
}

// In bf16 and fp16, under fast and unified, over 1,024 steps.
void expect_long(const Setting& setting) {
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    for (const auto& policy : policies()) {
      SCOPED_TRACE(setting.text() + ", " + c10::toString(low) + ", " + policy.name());
      const auto model = made(setting);
      const auto errors = errors_of_weights(model.module, low, policy, [&](c10::ScalarType as) {
        const auto given = operands(setting, at::kFloat, as);
        return weighted_sum({model.call(given)[0]});
      });
      expect_small(errors, setting.kind == Kind::relu);
    }
  }
}

TEST(LongRecurrence, WeightsOfAGru) { expect_long({.size = 16, .hidden = 16, .time = 1024}); }

TEST(LongRecurrence, WeightsOfAnRnn) {
  expect_long({.kind = Kind::tanh, .size = 16, .hidden = 16, .time = 1024});
  expect_long({.kind = Kind::relu, .size = 16, .hidden = 16, .time = 1024});
}

TEST(LongRecurrence, WeightsOfDeepPackedNetworksOfBothDirections) {
  for (const auto kind : {Kind::gru, Kind::tanh, Kind::lstm}) {
    expect_long({.kind = kind,
                 .layers = 2,
                 .size = 16,
                 .hidden = 16,
                 .time = 1024,
                 .bidirectional = true,
                 .packed = true});
  }
}

TEST(LongRecurrence, WeightsOfALstmOfBothDirections) {
  expect_long({.kind = Kind::lstm, .size = 16, .hidden = 16, .time = 1024, .bidirectional = true});
}

// A user's own loop over a cell.
template <typename Cell>
void expect_cell(Cell cell, const std::function<Tensor(Cell&, const Tensor&, Tensors&)>& step,
                 bool is_relu = false) {
  for (const auto low : {at::kBFloat16, at::kHalf}) {
    for (const auto& policy : policies()) {
      SCOPED_TRACE(std::string(c10::toString(low)) + ", " + policy.name());
      const auto errors = errors_of_weights(cell.ptr(), low, policy, [&](c10::ScalarType as) {
        at::manual_seed(12);
        const auto inputs = at::randn({1024, 3, 8}).to(as);
        Tensors states = {at::zeros({3, 8}, as), at::zeros({3, 8}, as)}, outputs;
        for (const auto& input : inputs.unbind()) outputs.push_back(step(cell, input, states));
        return weighted_sum({at::stack(outputs)});
      });
      expect_small(errors, is_relu);
    }
  }
}

TEST(LongRecurrence, WeightsOfCellsInALoop) {
  at::manual_seed(7);
  const auto one_state = [](auto& cell, const Tensor& input, Tensors& states) {
    return states[0] = cell(input, states[0]);
  };
  expect_cell<torch::nn::GRUCell>(torch::nn::GRUCell(8, 8), one_state);
  expect_cell<torch::nn::RNNCell>(torch::nn::RNNCell(8, 8), one_state);
  expect_cell<torch::nn::RNNCell>(
      torch::nn::RNNCell(torch::nn::RNNCellOptions(8, 8).nonlinearity(torch::kReLU)), one_state,
      /*is_relu=*/true);
  expect_cell<torch::nn::LSTMCell>(
      torch::nn::LSTMCell(8, 8),
      [](torch::nn::LSTMCell& cell, const Tensor& input, Tensors& states) {
        std::tie(states[0], states[1]) = cell(input, std::tuple(states[0], states[1]));
        return states[0];
      });
}

// h' = z h + (1 - z) n with z = sigmoid(7): a state that moves by 1/1000 of what is left at a step, which
// bf16 would not carry past a half.
TEST(LongRecurrence, TheStateIsFp32) {
  torch::nn::GRU gru(1, 1);
  torch::nn::GRUCell cell(1, 1);
  for (auto* const module :
       {static_cast<torch::nn::Module*>(gru.get()), static_cast<torch::nn::Module*>(cell.get())}) {
    const c10::NoGradGuard no_grad;
    for (auto& item : module->named_parameters()) {
      item.value().zero_();
      if (item.key().find("bias_ih") != std::string::npos)
        item.value().copy_(at::tensor({0.0F, 7.0F, 20.0F}));
    }
  }
  const double left = std::pow(1 / (1 + std::exp(-7.0)), 2000);
  for (const auto& policy : policies()) {
    const Autocast autocast(at::kCPU, at::kBFloat16, {.policy = policy});
    EXPECT_NEAR(std::get<1>(gru(at::zeros({2000, 1, 1}))).item<double>(), 1 - left, 1e-4);
    auto state = at::zeros({1, 1}, at::kBFloat16);
    for (int t = 0; t < 2000; ++t) state = cell(at::zeros({1, 1}, at::kBFloat16), state);
    EXPECT_EQ(state.scalar_type(), at::kFloat);
    EXPECT_NEAR(state.item<double>(), 1 - left, 1e-4);
  }
}

}  // namespace
}  // namespace amp::tests::recurrence::long_recurrence_test
