// Times whole training steps of the language models in each precision, interleaved, and counts what
// their forward pass leaves alive.
//
//   language_bench [--cases a,b] [--ways a,b] [--threads N] [--rounds N] [--json FILE] [--ops N]
//
// Cases: lstm (2 x 512, vocabulary 10,000, 16 x 64 tokens), lstm-projected (2 x 1024 to 256), gpt (6
// layers of 384, vocabulary 8,192, 8 x 256 tokens), gpt-bytes (the same with 256). Ways: fp32
// (LibTorch's own engine), fp32-fastest, bf16, fp16. A step is forward, backward and
// amp::optim::AdamW through amp::TrainStep; figures are medians. --ops lists a step's slowest ops.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/cpu_math.h"
#include "amp/optim.h"
#include "amp/train_step.h"
#include "amp/version.h"
#include "app/training/memory_census.h"
#include "bench/op_times.h"
#include "tasks/text/gpt.h"
#include "tasks/text/lstm.h"

namespace {

using nlohmann::json;

struct Model {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;
};

struct Case {
  std::function<Model()> make;
  std::int64_t vocabulary, batch, time;
};

template <typename Module, typename Options>
std::function<Model()> making(const Options& options) {
  return [=] {
    auto module = std::make_shared<Module>(options);
    return Model{module, [=](const at::Tensor& tokens) { return module->forward(tokens); }};
  };
}

const std::map<std::string, Case>& cases() {
  using ampersand::Gpt, ampersand::GptOptions, ampersand::LstmModel, ampersand::LstmOptions;
  static const std::map<std::string, Case> all = {
      {"lstm", {making<LstmModel>(LstmOptions{.vocabulary = 10'000}), 10'000, 16, 64}},
      {"lstm-projected",
       {making<LstmModel>(LstmOptions{.vocabulary = 10'000,
                                      .embedding = 256,
                                      .hidden = 1024,
                                      .projection = 256,
                                      .tied = true}),
        10'000, 16, 64}},
      {"gpt", {making<Gpt>(GptOptions{.vocabulary = 8192}), 8192, 8, 256}},
      {"gpt-bytes", {making<Gpt>(GptOptions{.vocabulary = 256}), 256, 8, 256}},
  };
  return all;
}

amp::Recipe recipe_of(const std::string& way) {
  if (way == "bf16") return amp::Recipe::bf16();
  return way == "fp16" ? amp::Recipe::fp16() : amp::Recipe::fp32();
}

class Trainer {
 public:
  Trainer(const Case& shape, const std::string& way)
      : way_(way),
        model_(shape.make()),
        optimizer_(model_.module->parameters(), amp::optim::AdamWOptions{.lr = 1e-4}),
        step_(*model_.module, optimizer_, recipe_of(way)),
        text_(at::randint(shape.vocabulary, {shape.batch, shape.time + 1}, at::kLong)) {}

  double seconds() {
    amp::set_cpu_fp32_engine(way_ == "fp32" ? amp::CpuFp32Engine::stock
                                            : amp::CpuFp32Engine::fastest);
    const auto begin = std::chrono::steady_clock::now();
    step_([&] { return loss(); });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  // Between forward and backward. At the second step, when the optimizer has written its copies.
  ampersand::LiveBytes live_bytes() {
    ampersand::MemoryWatch watch;
    const ampersand::MemoryCensus census(watch, model_.module->parameters());
    ampersand::LiveBytes live;
    step_([&] {
      const auto value = loss();
      live = census.live();
      return value;
    });
    return live;
  }

 private:
  at::Tensor loss() {
    const auto time = text_.size(1) - 1;
    const auto logits = model_.forward(text_.narrow(1, 0, time));
    return at::cross_entropy_loss(logits.flatten(0, 1), text_.narrow(1, 1, time).flatten());
  }

  std::string way_;
  Model model_;
  amp::optim::AdamW optimizer_;
  amp::TrainStep step_;
  at::Tensor text_;
};

double quantile(std::vector<double> values, double part) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

struct Options {
  std::vector<std::string> cases = {"lstm", "lstm-projected", "gpt", "gpt-bytes"};
  std::vector<std::string> ways = {"fp32", "fp32-fastest", "bf16", "fp16"};
  int threads = 0, rounds = 15;
  std::size_t ops = 0;
  std::string json;
};

void list_ops(Trainer& trainer, const std::string& title, std::size_t lines) {
  constexpr int kSteps = 3;
  std::printf("-- %s\n", title.c_str());
  const amp::bench::OpTimes times;
  for (int i = 0; i < kSteps; ++i) trainer.seconds();
  amp::bench::OpTimes::print(kSteps, lines);
}

json run(const std::string& name, const Options& options) {
  const auto& shape = cases().at(name);
  std::vector<std::unique_ptr<Trainer>> trainers;
  std::vector<std::vector<double>> seconds(options.ways.size());
  std::vector<ampersand::LiveBytes> live;
  for (const auto& way : options.ways) {
    at::manual_seed(1);
    trainers.push_back(std::make_unique<Trainer>(shape, way));
    trainers.back()->seconds();
    live.push_back(trainers.back()->live_bytes());
  }
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < trainers.size(); ++i) seconds[i].push_back(trainers[i]->seconds());
  }
  json rows = json::array();
  const double first = quantile(seconds[0], 0.5);
  for (std::size_t i = 0; i < trainers.size(); ++i) {
    const double median = quantile(seconds[i], 0.5);
    const double spread = (quantile(seconds[i], 0.75) - quantile(seconds[i], 0.25)) / median;
    const auto whole = [](const ampersand::LiveBytes& bytes) {
      return static_cast<double>(bytes.floating + bytes.integer + bytes.other);
    };
    const double floating =
        static_cast<double>(live[i].floating) / static_cast<double>(live[0].floating);
    rows.push_back({{"case", name},
                    {"way", options.ways[i]},
                    {"milliseconds", 1e3 * median},
                    {"spread", spread},
                    {"time_ratio", median / first},
                    {"activation_bytes", live[i].floating},
                    {"activation_ratio", floating},
                    {"other_bytes", live[i].integer + live[i].other},
                    {"all_ratio", whole(live[i]) / whole(live[0])}});
    std::printf(
        "%-15s %-13s %8.1f ms +-%3.0f%% %5.2fx | floating %8.2f MB %5.3f | with all else %8.2f MB "
        "%5.3f\n",
        name.c_str(), options.ways[i].c_str(), 1e3 * median, 100 * spread, median / first,
        static_cast<double>(live[i].floating) / 1e6, floating, whole(live[i]) / 1e6,
        whole(live[i]) / whole(live[0]));
    if (options.ops > 0) list_ops(*trainers[i], name + " " + options.ways[i], options.ops);
    std::fflush(stdout);
  }
  return rows;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<Options> parsed(int argc, char** argv) {
  Options options;
  if (argc % 2 == 0) return {};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--cases") {
      options.cases = split(value);
    } else if (name == "--ways") {
      options.ways = split(value);
    } else if (name == "--threads") {
      options.threads = std::stoi(value);
    } else if (name == "--rounds") {
      options.rounds = std::stoi(value);
    } else if (name == "--ops") {
      options.ops = std::stoul(value);
    } else if (name == "--json") {
      options.json = value;
    } else {
      return {};
    }
  }
  const auto known = [](const std::string& name) { return cases().contains(name); };
  return std::ranges::all_of(options.cases, known) ? std::optional(options) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parsed(argc, argv);
  if (!options.has_value()) {
    std::cerr << "usage: language_bench [--cases a,b] [--ways a,b] [--threads N] [--rounds N] "
                 "[--json FILE] [--ops N]\n";
    return 2;
  }
  if (options->threads > 0) at::set_num_threads(options->threads);
  json rows = json::array();
  for (const auto& name : options->cases) {
    for (const auto& row : run(name, *options)) rows.push_back(row);
  }
  if (options->json.empty()) return 0;
  const json all = {{"name", "language"},
                    {"machine",
                     {{"threads", at::get_num_threads()},
                      {"fast_engine", amp::cpu_fast_engine()},
                      {"native_half", amp::cpu_has_native_half()}}},
                    {"versions", {{"ampersand", amp::version()}, {"libtorch", TORCH_VERSION}}},
                    {"rows", rows}};
  std::ofstream file(options->json);
  file << all.dump(2) << "\n";
  if (file.flush()) return 0;
  std::cerr << "language_bench: cannot write " << options->json << "\n";
  return 1;
}
