// Whole iterations, step by step as torch.amp.GradScaler went through them.
#include <torch/nn/utils/clip_grad.h>

#include <gtest/gtest.h>

#include <string>

#include "tests/support/golden.h"
#include "tests/support/training.h"

namespace amp::tests::iterations_test {
namespace {

GradScalerOptions options_of(const Json& given) {
  GradScalerOptions options;
  options.init_scale = given.value("init_scale", options.init_scale);
  options.growth_factor = given.value("growth_factor", options.growth_factor);
  options.backoff_factor = given.value("backoff_factor", options.backoff_factor);
  options.growth_interval = given.value("growth_interval", options.growth_interval);
  return options;
}

void change_settings(GradScaler& scaler, const Json& iteration) {
  const auto settings = iteration.value("set", Json::object());
  for (const auto& [name, value] : settings.items()) {
    if (name == "growth_factor") scaler.set_growth_factor(value);
    if (name == "backoff_factor") scaler.set_backoff_factor(value);
    if (name == "growth_interval") scaler.set_growth_interval(value);
  }
}

struct Player {
  std::vector<at::Tensor> weights;
  std::vector<torch::optim::SGD> optimizers;
  GradScaler scaler;

  explicit Player(const Json& run) : scaler(options_of(run["options"])) {
    for (int i = 0; i < run["optimizers"]; ++i) {
      weights.push_back(parameter({1.0, -2.0, 4.0}));
      optimizers.push_back(sgd({weights.back()}));
    }
  }

  void play(const Json& iteration) {
    change_settings(scaler, iteration);
    const bool clips = iteration.contains("clip");
    for (std::size_t i = 0; i < weights.size(); ++i) {
      optimizers[i].zero_grad();
      for (const auto& gradient : iteration["gradients"][i]) {
        scaler.scale((weights[i] * tensor(numbers(gradient))).sum()).backward();
      }
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (clips || iteration.value("unscale", false)) scaler.unscale_(optimizers[i]);
      if (clips) torch::nn::utils::clip_grad_norm_(weights[i], iteration["clip"].get<double>());
      EXPECT_EQ(scaler.step(optimizers[i]).stepped(), iteration["stepped"][i].get<bool>());
    }
    if (iteration.contains("update_to"))
      scaler.update(iteration["update_to"].get<double>());
    else
      scaler.update();
  }

  // Clipping in C++ divides by the norm, in Python it multiplies by the reciprocal: one ulp apart.
  void expect(const Json& iteration) const {
    const double tolerance = iteration.contains("clip") ? 1e-6 : 0.0;
    EXPECT_EQ(scaler.get_scale(), number(iteration["scale"]));
    EXPECT_EQ(scaler.state_dict().growth_tracker, iteration["tracker"].get<std::int64_t>());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_THAT(values(weights[i]), AreWithin(tolerance, numbers(iteration["weights"][i])));
      EXPECT_THAT(values(weights[i].grad()), AreWithin(tolerance, numbers(iteration["grads"][i])));
    }
  }
};

class Iterations : public testing::TestWithParam<std::string> {};

TEST_P(Iterations, S1_GoAsInTorch) {
  const auto file = golden("grad_scaler.json");
  for (const auto& run : file["iterations"]) {
    if (run["name"] != GetParam()) continue;
    Player player(run);
    for (std::size_t i = 0; i < run["iterations"].size(); ++i) {
      SCOPED_TRACE("iteration " + std::to_string(i));
      player.play(run["iterations"][i]);
      player.expect(run["iterations"][i]);
    }
    const auto state = player.scaler.state_dict();
    EXPECT_EQ(state.scale, number(run["state_dict"]["scale"]));
    EXPECT_EQ(state.growth_factor, number(run["state_dict"]["growth_factor"]));
    EXPECT_EQ(state.backoff_factor, number(run["state_dict"]["backoff_factor"]));
    EXPECT_EQ(state.growth_interval, run["state_dict"]["growth_interval"].get<std::int64_t>());
    EXPECT_EQ(state.growth_tracker, run["state_dict"]["_growth_tracker"].get<std::int64_t>());
    return;
  }
  FAIL() << "the golden file has no such run";
}

std::string name_of(const testing::TestParamInfo<std::string>& info) {
  auto name = info.param;
  for (auto& letter : name) {
    if (letter == ' ') letter = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(GradScaler, Iterations,
                         testing::Values("one optimizer", "unscale_ before step", "clipping",
                                         "accumulation", "two optimizers",
                                         "a scale that comes down", "factors that round",
                                         "settings changed on the way", "a tiny scale"),
                         name_of);

}  // namespace
}  // namespace amp::tests::iterations_test
