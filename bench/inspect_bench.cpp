// What an Inspector costs a training step, at each level.
//
//   inspect_bench mlp|gpt ROUNDS [FILE.json]
//
// mlp: 784-2048-2048-10, batch 256; gpt: 6 layers of 384, vocabulary 8,192, 8 x 256 tokens, for the
// program's model. bf16, amp::optim::AdamW, one TrainStep for all levels, which take turns step by
// step. `sampled` (every 100) is 99 of its unrecorded steps and one recorded. Medians over the rounds.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "amp/inspect.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#ifdef AMP_BENCH_GPT
#include "tasks/text/gpt.h"
#endif

namespace {

struct Workload {
  std::shared_ptr<torch::nn::Module> model;
  std::function<at::Tensor()> loss;
};

Workload mlp() {
  torch::nn::Sequential model(torch::nn::Linear(784, 2048), torch::nn::ReLU(),
                              torch::nn::Linear(2048, 2048), torch::nn::ReLU(),
                              torch::nn::Linear(2048, 10));
  const auto inputs = at::randn({256, 784});
  const auto classes = at::randint(10, {256}, at::kLong);
  return {model.ptr(),
          [=]() mutable { return at::cross_entropy_loss(model->forward(inputs), classes); }};
}

Workload gpt() {
#ifdef AMP_BENCH_GPT
  auto model = std::make_shared<ampersand::Gpt>(ampersand::GptOptions{.vocabulary = 8192});
  const auto tokens = at::randint(8192, {8, 257}, at::kLong);
  const auto inputs = tokens.narrow(1, 0, 256), targets = tokens.narrow(1, 1, 256).reshape(-1);
  return {model, [=] {
            return at::cross_entropy_loss(model->forward(inputs).view({-1, 8192}), targets);
          }};
#else
  throw std::runtime_error("inspect_bench: this build has no gpt; use mlp");
#endif
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// One way of watching, or none.
struct Way {
  const char* name;
  std::unique_ptr<amp::Inspector> inspector;
  std::int64_t number;  // of its steps: 100 is recorded by `sampled`, 1 is not
  std::vector<double> seconds = {};
};

double timed_step(amp::TrainStep& step, const Workload& work, Way& way) {
  const auto begin = std::chrono::steady_clock::now();
  if (way.inspector != nullptr) way.inspector->begin_step(way.number);
  const auto report = step(work.loss);
  if (way.inspector != nullptr) way.inspector->end_step(report);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int run(const std::string& name, int rounds, const char* file) {
  auto work = name == "gpt" ? gpt() : mlp();
  amp::optim::AdamW optimizer(work.model->parameters(), amp::optim::AdamWOptions{.lr = 1e-4});
  amp::TrainStep step(*work.model, optimizer, amp::Recipe::bf16());
  const auto inspector = [&](amp::InspectLevel level, bool histograms = true) {
    return std::make_unique<amp::Inspector>(
        *work.model,
        amp::InspectorOptions{.level = level, .histograms = histograms, .history = 100});
  };
  std::vector<Way> ways;
  ways.push_back({"none", nullptr, 0});
  ways.push_back({"off", inspector(amp::InspectLevel::off), 0});
  ways.push_back({"steps", inspector(amp::InspectLevel::steps), 0});
  ways.push_back({"sampled, unrecorded", inspector(amp::InspectLevel::sampled), 1});
  ways.push_back({"sampled, recorded", inspector(amp::InspectLevel::sampled), 100});
  ways.push_back({"full", inspector(amp::InspectLevel::full), 0});
  ways.push_back({"full, no histograms", inspector(amp::InspectLevel::full, false), 0});
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      auto& way = ways[(i + static_cast<std::size_t>(round + 1)) % ways.size()];
      const double seconds = timed_step(step, work, way);
      if (round >= 0) way.seconds.push_back(seconds);
    }
  }
  const double base = median(ways[0].seconds);
  nlohmann::ordered_json rows;
  const auto row = [&](const char* way, double seconds, double goal) {
    std::printf("%-22s %8.2f ms  %6.3f of a step without\n", way, 1e3 * seconds, seconds / base);
    rows.push_back({{"case", name + ", " + way},
                    {"metric", "step time over that without an Inspector"},
                    {"unit", "1"},
                    {"ours", seconds / base},
                    {"milliseconds", 1e3 * seconds},
                    {"goal", goal > 0 ? nlohmann::ordered_json(goal) : nullptr}});
  };
  row("none", base, 0);
  row("off", median(ways[1].seconds), 1);
  row("steps", median(ways[2].seconds), 1.01);
  row("sampled", 0.99 * median(ways[3].seconds) + 0.01 * median(ways[4].seconds), 1.03);
  row("full", median(ways[5].seconds), 3);
  row("full, no histograms", median(ways[6].seconds), 3);
  if (file != nullptr)
    std::ofstream(file) << nlohmann::ordered_json{{"name", "inspect"}, {"rows", rows}}.dump(1)
                        << "\n";
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 3) throw std::runtime_error("usage: inspect_bench mlp|gpt ROUNDS [FILE.json]");
    return run(arguments[1], std::stoi(arguments[2]), count > 3 ? arguments[3] : nullptr);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
