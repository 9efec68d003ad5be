// What is lost when low-precision weights are updated directly, and what brings it back: one small
// network trained with its weights kept in every way that amp::optim knows.
//
//   weight_forms_bench FILE.json [STEPS]
//
// A student of 64-256-10 learns the outputs of a teacher of the same kind from random inputs, with
// AdamW at a rate of 3e-4: most updates are smaller than 1/256 of their weight, many smaller than
// 1/2048. The file has the held-out loss of each way, every 50 steps, mean over three seeds.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amp/optim.h"

namespace {

using amp::optim::LowPrecisionWeights;
using nlohmann::json;

constexpr int kSeeds = 3, kBatch = 128, kEvery = 50;

struct Way {
  const char* name;
  c10::ScalarType dtype;  // of the weights and of the arithmetic
  amp::optim::MemoryOptions memory;
};

const std::vector<Way>& ways() {
  static const std::vector<Way> ways = {
      {"fp32", at::kFloat, {}},
      {"fp16, fp32 masters", at::kHalf, {}},
      {"fp16, updated directly", at::kHalf, {.weights = LowPrecisionWeights::nearest}},
      {"bf16, fp32 masters", at::kBFloat16, {}},
      {"bf16, split", at::kBFloat16, {.weights = LowPrecisionWeights::split}},
      {"bf16, Kahan", at::kBFloat16, {.weights = LowPrecisionWeights::kahan}},
      {"bf16, stochastic", at::kBFloat16, {.weights = LowPrecisionWeights::stochastic}},
      {"bf16, updated directly", at::kBFloat16, {.weights = LowPrecisionWeights::nearest}},
      {"bf16, split, bf16 moments",
       at::kBFloat16,
       {.weights = LowPrecisionWeights::split, .bf16_moments = true}},
  };
  return ways;
}

struct Network {
  std::vector<at::Tensor> weights;

  static Network random() {
    return {{at::randn({64, 256}) / 8, at::randn({256}) / 8, at::randn({256, 10}) / 16,
             at::randn({10}) / 16}};
  }
  Network in(c10::ScalarType dtype) const {
    Network copy;
    for (const auto& weight : weights)
      copy.weights.push_back(weight.to(dtype, false, /*copy=*/true).requires_grad_());
    return copy;
  }
  at::Tensor operator()(const at::Tensor& x) const {
    const auto& w = weights;
    const auto hidden = at::relu(at::addmm(w[1], x.to(w[0].scalar_type()), w[0]));
    return at::addmm(w[3], hidden, w[2]).to(at::kFloat);
  }
};

std::vector<double> trained(const Way& way, int seed, int steps) {
  at::manual_seed(static_cast<std::uint64_t>(seed));
  const auto teacher = Network::random();
  const auto student = Network::random().in(way.dtype);
  const auto held_out = at::randn({2048, 64});
  auto memory = way.memory;
  memory.seed = static_cast<std::uint64_t>(seed);
  amp::optim::AdamW optimizer(student.weights, {.lr = 3e-4, .weight_decay = 0, .memory = memory});
  std::vector<double> curve;
  const auto evaluate = [&] {
    const c10::NoGradGuard no_grad;
    curve.push_back(at::mse_loss(student(held_out), teacher(held_out)).item<double>());
  };
  evaluate();
  for (int step = 1; step <= steps; ++step) {
    const auto x = at::randn({kBatch, 64});
    optimizer.zero_grad();
    // fp16 gradients are small here, not tiny: a constant factor keeps them normal.
    const double scale = way.dtype == at::kHalf ? 1024 : 1;
    (at::mse_loss(student(x), teacher(x)) * scale).backward();
    optimizer.fused_step({.inv_scale = at::full({}, 1 / scale, at::kFloat)});
    if (step % kEvery == 0) evaluate();
  }
  return curve;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: weight_forms_bench FILE.json [STEPS]\n");
    return 2;
  }
  const int steps = argc > 2 ? std::stoi(argv[2]) : 4000;
  json curves = json::array();
  for (const auto& way : ways()) {
    std::vector<double> mean(static_cast<std::size_t>(steps / kEvery + 1));
    for (int seed = 0; seed < kSeeds; ++seed) {
      const auto curve = trained(way, seed, steps);
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += curve[i] / kSeeds;
    }
    std::printf("%-28s held-out loss %.6f\n", way.name, mean.back());
    curves.push_back({{"name", way.name}, {"every", kEvery}, {"values", mean}});
  }
  const json content = {{"name", "weight_forms"},
                        {"x", "step"},
                        {"y", "held-out loss"},
                        {"seeds", kSeeds},
                        {"curves", curves}};
  std::ofstream(argv[1]) << content.dump(1) << '\n';
}
