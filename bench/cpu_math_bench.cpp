// Times the CPU kernels against LibTorch's own, interleaved in one run: the cost of passing a call
// on, fp16 products and convolutions, the fp32 engines, and whole training steps.
//
//   cpu_math_bench [results.json] [rounds]
//
// Every figure is the median over the rounds (15 unless given); the spread is the distance between
// the quartiles over the median.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <c10/core/InferenceMode.h>
#include <torch/library.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/cpu_math.h"
#include "amp/recipe.h"
#include "amp/train_step.h"
#include "amp/version.h"

namespace {

using nlohmann::json;

// LibTorch's kernel behind an op of our own: a call of it is a call of at::mm without libamp.
TORCH_LIBRARY(cpu_math_bench, library) {
  library.def("stock_mm(Tensor a, Tensor b) -> Tensor");
  library.impl("stock_mm", c10::DispatchKey::CPU, TORCH_FN(at::cpu::mm));
}

// One way of computing a case.
struct Way {
  std::string name;
  std::function<void()> prepare;  // not timed
  std::function<void()> run;
  std::size_t rounds = SIZE_MAX;  // for a way so slow that a few are enough
};

struct Timing {
  double median, spread;  // seconds; fraction of the median
};

double seconds_of(const Way& way, int calls) {
  way.prepare();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) way.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
}

Timing summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double part) {
    return seconds[static_cast<std::size_t>(part * static_cast<double>(seconds.size() - 1))];
  };
  return {at(0.5), (at(0.75) - at(0.25)) / at(0.5)};
}

// Takes turns, one turn of `calls` calls for each way in each round, after one that does not count.
std::vector<Timing> interleaved(const std::vector<Way>& ways, std::size_t rounds, int calls = 1) {
  std::vector<std::vector<double>> seconds(ways.size());
  for (const auto& way : ways) seconds_of(way, 1);
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      if (round < ways[i].rounds) seconds[i].push_back(seconds_of(ways[i], calls));
    }
  }
  std::vector<Timing> timings;
  for (auto& series : seconds) timings.push_back(summary(std::move(series)));
  return timings;
}

struct Unit {
  std::string metric, name;
  double per_second;  // how many of it make a second; negative: a rate of that many per run
};
const Unit kNanoseconds = {"time per call", "ns", 1e9}, kMilliseconds = {"time", "ms", 1e3};

class Report {
 public:
  Report() {
    std::printf("%-44s %11s  %-22s %11s %7s %6s %7s\n", "case", "ours", "peer", "theirs", "ratio",
                "goal", "spread");
  }

  // limit: the fastest that could be, in seconds.
  void add(const std::string& name, const Unit& unit, const Timing& ours, const std::string& peer,
           const Timing& theirs, std::optional<double> goal = {},
           std::optional<double> limit = {}) {
    const auto value = [&](double seconds) {
      return unit.per_second > 0 ? seconds * unit.per_second : -unit.per_second / seconds;
    };
    const auto number = [](std::optional<double> v) { return v ? json(*v) : json(); };
    rows_.push_back({{"case", name},
                     {"metric", unit.metric},
                     {"unit", unit.name},
                     {"ours", value(ours.median)},
                     {"peer", peer},
                     {"theirs", value(theirs.median)},
                     {"ratio", theirs.median / ours.median},
                     {"goal", number(goal)},
                     {"limit", limit ? json(value(*limit)) : json()},
                     {"fraction_of_limit", limit ? json(*limit / ours.median) : json()},
                     {"spread", std::max(ours.spread, theirs.spread)}});
    std::printf("%-44s %8.1f %-3s %-22s %8.1f %-3s %6.2fx %6s %6.0f%%\n", name.c_str(),
                value(ours.median), unit.name.c_str(), peer.c_str(), value(theirs.median),
                unit.name.c_str(), theirs.median / ours.median,
                goal ? std::to_string(*goal).substr(0, 4).c_str() : "",
                100 * std::max(ours.spread, theirs.spread));
    std::fflush(stdout);
  }

  json rows() const { return rows_; }

 private:
  json rows_ = json::array();
};

// --- what is on ---

void as_libtorch() {
  amp::set_cpu_half_math(false);
  amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock);
}
void with_half() {
  as_libtorch();
  amp::set_cpu_half_math(true);
}
void with_fastest() {
  as_libtorch();
  amp::set_cpu_fp32_engine(amp::CpuFp32Engine::fastest);
}

// --- (a) passing on ---

void bench_passing_on(Report& report, std::size_t rounds) {
  const c10::InferenceMode no_autograd;  // so that both are one dispatch and one kernel
  const auto stock = c10::Dispatcher::singleton()
                         .findSchemaOrThrow("cpu_math_bench::stock_mm", "")
                         .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto a = at::ones({8, 8}, dtype), b = at::ones({8, 8}, dtype);
    const auto t = interleaved({{"libamp", with_half, [&] { at::mm(a, b); }},
                                {"LibTorch", with_half, [&] { stock.call(a, b); }}},
                               20 * rounds, 2000);
    // At most 50 ns on top.
    report.add(std::string("mm 8x8 ") + c10::toString(dtype), kNanoseconds, t[0], "without libamp",
               t[1], t[1].median / (t[1].median + 50e-9));
  }
}

// --- (b) fp16, (c) fp32 ---

using Compute = std::function<void(at::ScalarType)>;

void bench_case(Report& report, const std::string& name, std::size_t rounds,
                const Compute& compute) {
  const auto t = interleaved({{"fp16", with_half, [&] { compute(at::kHalf); }},
                              {"stock fp16", as_libtorch, [&] { compute(at::kHalf); }, 2},
                              {"stock fp32", as_libtorch, [&] { compute(at::kFloat); }},
                              {"fastest fp32", with_fastest, [&] { compute(at::kFloat); }},
                              {"bf16", with_half, [&] { compute(at::kBFloat16); }}},
                             rounds);
  report.add(name + ", fp16", kMilliseconds, t[0], "stock fp16", t[1], {}, t[3].median);
  report.add(name + ", fp16", kMilliseconds, t[0], "stock fp32", t[2], {}, t[3].median);
  report.add(name + ", fp32 fastest", kMilliseconds, t[3], "stock fp32", t[2]);
  report.add(name + ", bf16 (LibTorch's)", kMilliseconds, t[4], "stock fp32", t[2]);
}

// A tensor in each dtype, made once.
class InDtypes {
 public:
  explicit InDtypes(const at::Tensor& fp32)
      : fp32_(fp32), fp16_(fp32.to(at::kHalf)), bf16_(fp32.to(at::kBFloat16)) {}
  const at::Tensor& operator()(at::ScalarType dtype) const {
    return dtype == at::kHalf ? fp16_ : dtype == at::kBFloat16 ? bf16_ : fp32_;
  }

 private:
  at::Tensor fp32_, fp16_, bf16_;
};

void bench_linear(Report& report, std::size_t rounds) {
  const InDtypes x(at::randn({256, 2048})), w(at::randn({2048, 2048})), bias(at::randn({2048}));
  const InDtypes grad(at::randn({256, 2048}));
  const std::string name = "linear 256x2048x2048 ";
  bench_case(report, name + "forward", rounds,
             [&](at::ScalarType t) { at::addmm(bias(t), x(t), w(t).t()); });
  bench_case(report, name + "input gradient", rounds,
             [&](at::ScalarType t) { at::mm(grad(t), w(t)); });
  bench_case(report, name + "weight gradient", rounds,
             [&](at::ScalarType t) { at::mm(grad(t).t(), x(t)); });
}

void bench_convolution(Report& report, const std::string& name, at::IntArrayRef input,
                       at::IntArrayRef weight, bool first, std::size_t rounds) {
  const InDtypes x(at::randn(input)), w(at::randn(weight)), bias(at::randn({weight[0]}));
  const InDtypes grad(at::randn({input[0], weight[0], input[2], input[3]}));
  const std::vector<std::int64_t> one = {1, 1}, none = {0, 0}, bias_sizes = {weight[0]};
  bench_case(report, name + " forward", rounds, [&](at::ScalarType t) {
    at::convolution(x(t), w(t), bias(t), one, one, one, false, none, 1);
  });
  bench_case(report, name + " backward", rounds, [&](at::ScalarType t) {
    at::convolution_backward(grad(t), x(t), w(t), bias_sizes, one, one, one, false, none, 1,
                             {!first, true, true});
  });
}

// --- (d) a training step ---

struct Trainer {
  torch::nn::Sequential model{torch::nn::Linear(784, 2048), torch::nn::ReLU(),
                              torch::nn::Linear(2048, 2048), torch::nn::ReLU(),
                              torch::nn::Linear(2048, 10)};
  torch::optim::SGD optimizer{model->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9)};
  at::Tensor images = at::randn({256, 784}), labels = at::randint(10, {256});
  amp::TrainStep step;

  explicit Trainer(const amp::Recipe& recipe) : step(*model, optimizer, recipe) {}
  void operator()() {
    step([&] { return at::cross_entropy_loss(model->forward(images), labels); });
  }
};

void bench_training(Report& report, std::size_t rounds) {
  const auto trainer = [](const amp::Recipe& recipe) { return std::make_shared<Trainer>(recipe); };
  const auto fp32 = trainer(amp::Recipe::fp32()), fast = trainer(amp::Recipe::fp32());
  const auto bf16 = trainer(amp::Recipe::bf16()), fp16 = trainer(amp::Recipe::fp16());
  const auto t = interleaved({{"fp32", as_libtorch, [&] { (*fp32)(); }},
                              {"fp32 fastest", with_fastest, [&] { (*fast)(); }},
                              {"bf16", as_libtorch, [&] { (*bf16)(); }},
                              {"fp16", with_half, [&] { (*fp16)(); }}},
                             rounds, 3);
  const std::string name = "mlp 784-2048-2048-10, batch 256, ";
  const Unit rate = {"samples per second", "/s", -256};
  report.add(name + "fp16", rate, t[3], "stock fp32", t[0], 0.7, t[1].median);
  report.add(name + "bf16", rate, t[2], "stock fp32", t[0], 2.0);
  report.add(name + "fp32 fastest", rate, t[1], "stock fp32", t[0]);
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = argc > 2 ? std::stoul(argv[2]) : 15;
  at::manual_seed(1);
  Report report;
  bench_passing_on(report, rounds);
  bench_linear(report, rounds);
  bench_convolution(report, "conv 128x32x14x14 to 64, 3x3", {128, 32, 14, 14}, {64, 32, 3, 3},
                    false, rounds);
  bench_convolution(report, "conv 128x1x28x28 to 32, 3x3", {128, 1, 28, 28}, {32, 1, 3, 3}, true,
                    rounds);
  bench_training(report, rounds);
  if (argc > 1) {
    const json machine = {{"cpu", processor()},
                          {"threads", at::get_num_threads()},
                          {"fast_engine", amp::cpu_fast_engine()},
                          {"native_half", amp::cpu_has_native_half()}};
    const json all = {{"name", "cpu_math"},
                      {"machine", machine},
                      {"versions", {{"ampersand", amp::version()}, {"libtorch", TORCH_VERSION}}},
                      {"rows", report.rows()}};
    std::ofstream file(argv[1]);
    file << all.dump(2) << "\n";
    if (!file.flush()) {
      std::cerr << "cpu_math_bench: cannot write " << argv[1] << "\n";
      return 1;
    }
  }
  return 0;
}
