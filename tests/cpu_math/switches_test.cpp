// Who turns the fp16 path on, and who has the last word. Each case needs a process in which nobody
// has called a switch yet, so it runs in a child that starts this program afresh.
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdlib>
#include <functional>
#include <iostream>

#include "amp/autocast.h"
#include "amp/recipe.h"
#include "amp/train_step.h"
#include "tests/cpu_math/reference.h"

namespace cpu_math_test::switches_test {
namespace {

// Expects `check` to return true in a fresh process.
void expect_in_fresh_process(const std::function<bool()>& check) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(std::_Exit(check() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

void half_autocast() { const amp::Autocast autocast(at::kCPU, at::kHalf); }

void make_train_step(const amp::Recipe& recipe) {
  torch::nn::Linear model(2, 2);
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  const amp::TrainStep train_step(*model, optimizer, recipe);
}

// On by default where it helps: without fp16 arithmetic in the processor.
bool on_by_default() { return amp::cpu_half_math() == !amp::cpu_has_native_half(); }

TEST(SwitchesDeathTest, OffAndStockUntilSomethingAsks) {
  expect_in_fresh_process([] {
    return !amp::cpu_half_math() && amp::cpu_fp32_engine() == amp::CpuFp32Engine::stock &&
           amp::cpu_fp32_engine_in_use() == "mkl";
  });
}

TEST(SwitchesDeathTest, TheFirstHalfAutocastOnTheCpuTurnsItOn) {
  expect_in_fresh_process([] {
    half_autocast();
    return on_by_default();
  });
}

TEST(SwitchesDeathTest, TheFirstHalfTrainStepTurnsItOn) {
  expect_in_fresh_process([] {
    make_train_step(amp::Recipe::fp16());
    return on_by_default();
  });
}

TEST(SwitchesDeathTest, OtherAutocastsAndRecipesDoNot) {
  expect_in_fresh_process([] {
    { const amp::Autocast bf16(at::kCPU, at::kBFloat16); }
    { const amp::Autocast by_default(at::kCPU); }
    { const amp::Autocast disabled(at::kCPU, at::kHalf, {.enabled = false}); }
    make_train_step(amp::Recipe::fp32());
    make_train_step(amp::Recipe::bf16());
    return !amp::cpu_half_math();
  });
}

TEST(SwitchesDeathTest, OffStaysOff) {
  expect_in_fresh_process([] {
    amp::set_cpu_half_math(false);
    half_autocast();
    make_train_step(amp::Recipe::fp16());
    return !amp::cpu_half_math();
  });
}

TEST(SwitchesDeathTest, OffAfterAnAutocastStaysOff) {
  expect_in_fresh_process([] {
    half_autocast();
    amp::set_cpu_half_math(false);
    half_autocast();
    return !amp::cpu_half_math();
  });
}

TEST(SwitchesDeathTest, OnStaysOn) {
  expect_in_fresh_process([] {
    amp::set_cpu_half_math(true);
    half_autocast();
    make_train_step(amp::Recipe::bf16());
    return amp::cpu_half_math();
  });
}

TEST(SwitchesDeathTest, TheLastCallCounts) {
  expect_in_fresh_process([] {
    amp::set_cpu_half_math(true);
    amp::set_cpu_half_math(false);
    const bool off = !amp::cpu_half_math();
    amp::set_cpu_half_math(true);
    return off && amp::cpu_half_math();
  });
}

TEST(SwitchesDeathTest, MeasuringFindsOneEngineAndKeepsIt) {
  expect_in_fresh_process([] {
    amp::set_cpu_fp32_engine(amp::CpuFp32Engine::fastest);
    const auto first = amp::cpu_fp32_engine_in_use();
    return (first == "mkl" || first == "onednn") && amp::cpu_fast_engine() == first &&
           amp::cpu_fp32_engine_in_use() == first;
  });
}

}  // namespace
}  // namespace cpu_math_test::switches_test
