// How often the verdicts of `compare` are right, where the truth is known.
//
//   verdict_bench train FILE.json SCHEDULE [SEEDS]    trains, a second a run, and keeps the accuracies
//   verdict_bench judge FILE.json...                  judges them, and prints a table of each
//
// SCHEDULE: cosine, whose trainings settle, or constant, whose accuracies swing to the end.
//
// For each seed a small network learns Fashion-MNIST in fp32 three times: as it is; from weights that were moved a
// little, which is compare's perturbed baseline; and as the "other precision", which is fp32 as well: from weights
// moved in another way, or for one seed in ten with two threads. Then the other precision is made worse by 0.5, 1 and 2
// points.
#include <ATen/Parallel.h>
#include <ATen/ops/relu.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "amp/model_registry.h"
#include "app/models/model.h"
#include "app/results/results.h"
#include "app/results/summary.h"
#include "app/training/perturbation.h"
#include "app/training/trainer.h"
#include "tasks/images/image_task.h"
#include "tasks/register_tasks.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kTestSamples = 10'000;
constexpr int kDraws = 1000;  // groups of several seeds

class Small : public torch::nn::Module {
 public:
  explicit Small(const amp::ModelShape&)
      : hidden_(register_module("hidden", torch::nn::Linear(784, 64))),
        output_(register_module("output", torch::nn::Linear(64, 10))) {}
  at::Tensor forward(const at::Tensor& images) {
    return output_(at::relu(hidden_(images.flatten(1))));
  }

 private:
  torch::nn::Linear hidden_, output_;
};

class SmallTask : public ImageTask {
 public:
  using ImageTask::ImageTask;
  amp::TaskModel make_model(const std::string&) const override {
    return amp::task_model(amp::factory_of<Small>()({}));
  }
};

Settings settings_of(const std::string& schedule) {
  Settings settings;
  settings.model = "mlp";  // in whose place SmallTask puts its own
  settings.data = "fashion-mnist";
  settings.train_samples = 10'000;
  settings.batch_size = 100;
  settings.epochs = 3;
  settings.learning_rate = 0.1;
  settings.schedule = schedule;
  return settings;
}

// The run as results.json has it, without what no verdict needs.
json trained(const RunPlan& plan, const Settings& settings, const amp::Task& task) {
  ResultsBuilder results;
  train(plan, settings, task, [&](const json& event) {
    if (event.at("event") != "step") results.add(event);
  });
  const auto all = results.results();
  const auto& run = all.at(plan.perturbation.has_value() ? "perturbed_runs" : "runs").at(0);
  json kept = {{"precision", "fp32"}, {"ending", "finished"}};
  for (const char* name : {"seed", "test_accuracy", "history"}) kept[name] = run.at(name);
  for (auto& point : kept["history"]) {
    for (const char* name : {"train_loss", "test_loss", "scale"}) point.erase(name);
  }
  return kept;
}

json train_all(const std::string& schedule, int seeds) {
  const auto settings = settings_of(schedule);
  TaskSettings task_settings;
  task_settings.data = settings.data;
  task_settings.train_samples = settings.train_samples;
  const SmallTask task(task_settings);
  json all = {{"schedule", schedule}, {"seeds", json::array()}};
  for (int seed = 0; seed < seeds; ++seed) {
    at::set_num_threads(1);
    RunPlan plan;
    plan.precision = parse_precision("fp32");
    plan.seed = static_cast<std::uint64_t>(seed);
    json one = {{"fp32", trained(plan, settings, task)}};
    plan.perturbation = kPerturbation;
    one["perturbed"] = trained(plan, settings, task);
    plan.perturbation = plan.seed + 1;
    if (seed % 10 == 9) {
      plan.perturbation.reset();
      at::set_num_threads(2);
    }
    one["other"] = trained(plan, settings, task);
    all["seeds"].push_back(std::move(one));
    std::fprintf(stderr, "\r%s  %d of %d seeds", schedule.c_str(), seed + 1, seeds);
  }
  std::fprintf(stderr, "\n");
  return all;
}

// The rule before this one: two standard errors, or half a point.
bool old_rule_differs(const json& runs) {
  std::map<std::string, std::vector<double>> accuracies;
  for (const auto& run : runs) accuracies[run.at("precision")].push_back(run.at("test_accuracy"));
  const auto error = [](const std::vector<double>& values) {
    const auto all = mean_deviation(values);
    return values.size() > 1
               ? all.standard_error
               : std::sqrt(all.mean * (1 - all.mean) / static_cast<double>(kTestSamples));
  };
  const auto &ours = accuracies.at("other"), &fp32 = accuracies.at("fp32");
  const double noise = std::max(0.005, 2 * std::hypot(error(ours), error(fp32)));
  return std::abs(mean_deviation(ours).mean - mean_deviation(fp32).mean) > noise;
}

struct Counts {
  int all = 0, wrong = 0, worse = 0, equal = 0, old = 0, seeds_named = 0;
  std::int64_t seeds = 0;
};

// Compares the seeds of one group as `compare --seeds` would. Twice a seed's number stands for its other training with its
// perturbed one as the baseline, one more for the same the other way round.
void judge_group(const json& trained, const std::vector<std::size_t>& group, double loss,
                 Counts& counts) {
  json runs = json::array();
  SummaryOptions options{.test_samples = kTestSamples};
  for (const auto i : group) {
    const auto& one = trained.at(i / 2);
    runs.push_back(one.at("fp32"));
    auto other = one.at(i % 2 == 0 ? "other" : "perturbed");
    other["precision"] = "other";
    other["test_accuracy"] = other["test_accuracy"].get<double>() - loss;
    runs.push_back(std::move(other));
  }
  if (group.size() < 3) {
    const auto& first = trained.at(group[0] / 2);
    options.perturbed_runs.push_back(first.at(group[0] % 2 == 0 ? "perturbed" : "other"));
  }
  const auto entry = summarize(runs, options).at(1);
  const auto verdict = entry.at("verdict").get<std::string>();
  ++counts.all;
  counts.wrong += verdict == "worse" || verdict == "better" ? 1 : 0;
  counts.worse += verdict == "worse" ? 1 : 0;
  counts.equal += verdict == "equal" ? 1 : 0;
  counts.old += old_rule_differs(runs) ? 1 : 0;
  if (!entry.at("seeds_needed").is_number()) return;
  ++counts.seeds_named;
  counts.seeds += entry.at("seeds_needed").get<std::int64_t>();
}

// One seed: each both ways. Several: groups by chance, the same ones for each loss.
Counts judge_all(const json& trained, std::size_t seeds, double loss) {
  Counts counts;
  if (seeds == 1) {
    for (std::size_t i = 0; i < 2 * trained.size(); ++i) judge_group(trained, {i}, loss, counts);
    return counts;
  }
  std::mt19937 generator(7);
  std::vector<std::size_t> all(trained.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (int draw = 0; draw < kDraws; ++draw) {
    std::shuffle(all.begin(), all.end(), generator);
    std::vector<std::size_t> group;
    for (std::size_t i = 0; i < seeds; ++i) group.push_back(2 * all[i] + generator() % 2);
    judge_group(trained, group, loss, counts);
  }
  return counts;
}

double share(int count, int all) { return 100.0 * count / all; }

void print_spread(const json& content) {
  std::vector<double> differences, moved, accuracies;
  int same = 0;
  for (const auto& one : content.at("seeds")) {
    const double fp32 = one.at("fp32").at("test_accuracy");
    accuracies.push_back(100 * fp32);
    differences.push_back(100 * (one.at("other").at("test_accuracy").get<double>() - fp32));
    moved.push_back(100 * (one.at("perturbed").at("test_accuracy").get<double>() - fp32));
    same += differences.back() == 0 ? 1 : 0;
  }
  const auto of = [](const auto& values) { return mean_deviation(values).deviation; };
  std::printf(
      "%s learning rate: fp32 %.2f %% +- %.2f; pairs of fp32 differ by +- %.2f points (%d of %zu "
      "by none), "
      "perturbed ones by +- %.2f\n",
      content.at("schedule").get<std::string>().c_str(), mean_deviation(accuracies).mean,
      of(accuracies), of(differences), same, differences.size(), of(moved));
}

void print_table(const json& content) {
  const auto& trained = content.at("seeds");
  print_spread(content);
  std::printf(
      "| seeds | comparisons of fp32 with itself | false alarms | of the old rule | called equal | "
      "seeds named | "
      "0.5 points found | 1 point | 2 points | 0.5 points called equal |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n");
  for (const std::size_t seeds : {1U, 2U, 3U, 5U, 10U}) {
    if (seeds > trained.size()) continue;
    const auto none = judge_all(trained, seeds, 0);
    const auto half = judge_all(trained, seeds, 0.005);
    const auto one = judge_all(trained, seeds, 0.01), two = judge_all(trained, seeds, 0.02);
    std::printf(
        "| %zu | %d | %.1f %% | %.1f %% | %.0f %% | %s | %.0f %% | %.0f %% | %.0f %% | %.1f %% |\n",
        seeds, none.all, share(none.wrong, none.all), share(none.old, none.all),
        share(none.equal, none.all),
        none.seeds_named == 0
            ? "-"
            : std::to_string((none.seeds + none.seeds_named / 2) / none.seeds_named).c_str(),
        share(half.worse, half.all), share(one.worse, one.all), share(two.worse, two.all),
        share(half.equal, half.all));
  }
  std::printf("\n");
}

int run(int argc, char** argv) {
  register_tasks();
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 3 && words[0] == "train") {
    const int seeds = words.size() > 3 ? std::atoi(words[3].c_str()) : 100;
    std::ofstream(words[1]) << train_all(words[2], seeds).dump() << "\n";
    return 0;
  }
  if (words.size() >= 2 && words[0] == "judge") {
    for (std::size_t i = 1; i < words.size(); ++i) {
      std::ifstream stream(words[i]);
      print_table(json::parse(stream));
    }
    return 0;
  }
  std::fprintf(stderr, "verdict_bench train FILE.json SCHEDULE [SEEDS] | judge FILE.json...\n");
  return 2;
}

}  // namespace
}  // namespace ampersand

int main(int argc, char** argv) { return ampersand::run(argc, argv); }
