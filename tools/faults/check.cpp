// fault_check: whether the truth about each kind holds, by training it in fp32 and in its precision without a
// doctor.
//   fault_check [--seed S] [--draws N] [--kind K] [--bad]
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>

#include "amp/autocast.h"
#include "amp/error.h"
#include "amp/train_step.h"
#include "tools/faults/case.h"
#include "tools/faults/optimizer.h"

namespace {

using namespace amp;
using faults::Case;

struct Course {
  std::vector<double> losses;
  std::int64_t first_bad = -1;  // micro-batch, from 1, whose loss, step or weights are not finite
  int bad = 0, late_bad = 0;    // of all, and of the second half
  double eval_loss = 0, weights_before = 0, weights_after = 0;
  std::string thrown;

  double mean(std::size_t quarter) const {
    const auto from = losses.size() * quarter / 4, to = losses.size() * (quarter + 1) / 4;
    double sum = 0;
    for (auto i = from; i < to; ++i) sum += losses[i];
    return sum / static_cast<double>(std::max<std::size_t>(to - from, 1));
  }
};

bool all_finite(const torch::nn::Module& model) {
  return std::ranges::all_of(model.parameters(), [](const at::Tensor& parameter) {
    return parameter.isfinite().all().item<bool>();
  });
}

double norm_of(const torch::nn::Module& model) {
  double sum = 0;
  for (const auto& parameter : model.parameters())
    sum += parameter.detach().to(at::kDouble).square().sum().item<double>();
  return std::sqrt(sum);
}

// A weight that is not finite from the beginning is no news.
Course trained(const Case& training, const Recipe& recipe) {
  Course course;
  const auto model = training.make();
  const auto optimizer = faults::optimizer_of(training, *model);
  const bool born_finite = all_finite(*model);
  course.weights_before = norm_of(*model);
  std::int64_t i = 0;
  try {
    TrainStep step(*model, *optimizer, recipe);
    for (; i < training.steps; ++i) {
      const auto report = step([&] { return model->loss(model->batch(i)); });
      const double loss = report.loss().item<double>();
      course.losses.push_back(loss);
      if (std::isfinite(loss) && !report.skipped() && !(born_finite && !all_finite(*model)))
        continue;
      if (course.first_bad < 0) course.first_bad = i + 1;
      ++course.bad;
      if (2 * i >= training.steps) ++course.late_bad;
    }
  } catch (const std::exception& error) {
    course.thrown = std::string(error.what()).substr(0, 60);
    if (course.first_bad < 0) course.first_bad = i + 1;
    return course;
  }
  course.weights_after = norm_of(*model);
  model->eval();
  try {
    const at::NoGradGuard no_grad;
    const auto region = recipe.autocast(c10::kCPU);
    course.eval_loss = model->loss(model->batch(0)).item<double>();
  } catch (const std::exception&) {
    course.eval_loss = std::nan("");
  }
  return course;
}

// Whether these samples of the batch give a finite loss and gradients; a fixed loss scale is used.
bool is_well(const Case& training, const Recipe& recipe, const std::vector<std::int64_t>& samples) {
  const auto model = training.make();
  auto batch = model->batch(training.truth.first_step - 1);
  const auto chosen = at::tensor(samples);
  for (auto& tensor : batch) tensor = tensor.index_select(0, chosen);
  const bool fixed = recipe.loss_scaling == LossScaling::fixed;
  try {
    at::Tensor loss;
    {
      const auto region = recipe.autocast(c10::kCPU);
      loss = model->loss(batch);
    }
    (loss * (fixed ? recipe.static_scale : 1.0)).backward();
    const auto gradients = model->parameters();
    return loss.isfinite().item<bool>() &&
           std::ranges::all_of(gradients, [](const at::Tensor& parameter) {
             return !parameter.grad().defined() || parameter.grad().isfinite().all().item<bool>();
           });
  } catch (const std::exception&) {
    return false;
  }
}

std::string problem_of_sample(const Case& training) {
  const auto& truth = training.truth;
  const bool whole = training.recipe.model_dtype == at::kFloat;
  if (!truth.sample.has_value() || !whole || !truth.fp32_too.has_value()) return "";
  std::vector<std::int64_t> others;
  const auto size = training.make()->batch(truth.first_step - 1).front().size(0);
  for (std::int64_t i = 0; i < size; ++i)
    if (i != *truth.sample) others.push_back(i);
  if (!is_well(training, training.recipe, others)) return "other samples are bad, too";
  return is_well(training, training.recipe, {*truth.sample}) ? "the bad sample is well" : "";
}

struct Gradients {
  std::vector<at::Tensor> all;
  double zeros = 0;  // share
};

// Of the first micro-batch that has the fault, without loss scale unless it is fixed.
Gradients gradients_of(const Case& training, const Recipe& recipe) {
  Gradients gradients;
  const auto model = training.make();
  const auto index = std::max<std::int64_t>(training.truth.first_step, 1) - 1;
  const double scale = recipe.loss_scaling == LossScaling::fixed     ? recipe.static_scale
                       : recipe.loss_scaling == LossScaling::dynamic ? 1024.0
                                                                     : 1.0;
  try {
    at::Tensor loss;
    {
      const auto region = recipe.autocast(c10::kCPU);
      loss = model->loss(model->batch(index));
    }
    (loss * scale).backward();
  } catch (const std::exception&) {
    return {};
  }
  double zero = 0, count = 0;
  for (const auto& parameter : model->parameters()) {
    auto gradient = parameter.grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameter);
    gradient = gradient.to(at::kDouble) / scale;
    zero += (gradient == 0).sum().item<double>();
    count += static_cast<double>(gradient.numel());
    gradients.all.push_back(gradient.flatten());
  }
  gradients.zeros = zero / count;
  return gradients;
}

double relative_error(const Gradients& low, const Gradients& high) {
  if (low.all.empty() || high.all.size() != low.all.size()) return std::nan("");
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < low.all.size(); ++i) {
    difference += (low.all[i] - high.all[i]).square().sum().item<double>();
    size += high.all[i].square().sum().item<double>();
  }
  return std::sqrt(difference / std::max(size, 1e-300));
}

bool is(const faults::Truth& truth, const char* verdict) {
  return !truth.verdicts.empty() && truth.verdicts.front() == verdict;
}

double spread(const Course& course) {
  const auto [low, high] = std::ranges::minmax_element(course.losses);
  return course.losses.empty() ? 0 : *high - *low;
}

// Whether the last quarter's loss is about that of fp32.
bool learns_as(const Course& low, const Course& high) {
  const double share = low.bad > 0 ? 0.25 : 0.15;  // skipped steps are missing
  const double tolerance = std::max({0.1 * std::abs(high.mean(3)), share * spread(high), 0.02});
  return std::abs(low.mean(3) - high.mean(3)) <= tolerance;
}

bool is_worse(const Course& low, const Course& high) {
  return low.mean(3) - high.mean(3) > std::max(0.1 * std::abs(high.mean(3)), 0.005);
}

std::string problem_of_clean(const Case& training, const Course& low, const Course& high) {
  if (!low.thrown.empty()) return "throws";
  if (high.bad > 0) return "fp32 goes wrong";
  const bool scaled = training.recipe.loss_scaling == LossScaling::dynamic;
  if (low.bad > (scaled ? training.steps / 3 : 0) || low.late_bad > 2) return "steps go wrong";
  if (!std::isfinite(low.eval_loss)) return "eval goes wrong";
  if (!std::ranges::all_of(low.losses, [](double loss) { return std::isfinite(loss); }))
    return "loss not finite";
  return learns_as(low, high) ? "" : "learns otherwise than fp32";
}

// Where something is not finite at a known step.
std::string problem_of_step(const faults::Truth& truth, const Course& low, const Course& high) {
  if (low.first_bad < 0) return "nothing goes wrong";
  // A dynamic scale may have skipped some steps before.
  const bool too_late = truth.last_step >= 0 && low.first_bad > truth.last_step;
  if (too_late) return "goes wrong too late";
  if (!truth.fp32_too.has_value()) return "";
  if (*truth.fp32_too && high.first_bad < 0) return "fp32 is well";
  if (!*truth.fp32_too && high.first_bad >= 0) return "fp32 goes wrong, too";
  if (*truth.fp32_too && truth.first_step >= 0 &&
      (high.first_bad < truth.first_step || high.first_bad > truth.last_step))
    return "fp32 goes wrong at another step";
  return "";
}

std::string problem_of_learning(const Course& course) {
  const double progress = course.mean(1) - course.mean(3);
  return progress < 0.08 * std::abs(course.mean(1)) + 1e-9 ? "" : "learns";
}

std::string problem_of(const Case& training, const Course& low, const Course& high,
                       const Gradients& low_gradients, const Gradients& high_gradients) {
  const auto& truth = training.truth;
  if (truth.clean) return problem_of_clean(training, low, high);
  if (is(truth, "forward_overflow") || is(truth, "model_nan") || is(truth, "bad_data") ||
      is(truth, "scale_overflow") || (is(truth, "flushed_constant") && low.bad > 0)) {
    // Skips that come later are a dynamic scale's.
    const bool silent = (low.bad == 0 || low.first_bad > truth.last_step) &&
                        relative_error(low_gradients, high_gradients) > 0.1;
    return silent ? "" : problem_of_step(truth, low, high);
  }
  if (is(truth, "precision_loss") || is(truth, "flushed_constant")) {
    if (high.bad > 0) return "fp32 goes wrong";
    if (low.bad > 0) return "";
    const double error = relative_error(low_gradients, high_gradients);
    return is_worse(low, high) || error > 0.1 ? "" : "is as fp32";
  }
  if (is(truth, "vanishing")) {
    const auto& all = high_gradients.all;
    const auto first = all.front().norm().item<double>(), last = all.back().norm().item<double>();
    return first < 1e-4 * last ? "" : "the first layer's gradient has not vanished";
  }
  if (is(truth, "not_learning")) return problem_of_learning(high);
  if (is(truth, "divergence")) {
    const bool grows = high.bad > 0 || high.mean(3) > 10 * std::abs(high.losses.front());
    return grows ? "" : "fp32 does not diverge";
  }
  if (is(truth, "underflow"))
    return low_gradients.zeros > high_gradients.zeros + 0.3 ? "" : "few gradients are flushed";
  if (is(truth, "eval_only")) {
    if (low.bad > low.late_bad + 20 || low.late_bad > 0) return "training goes wrong";
    return std::isfinite(low.eval_loss) ? "eval is well" : "";
  }
  return "unknown verdict";
}

void show(const char* name, const Course& course) {
  if (course.losses.empty()) {
    std::printf(" | %s -", name);
  } else {
    std::printf(" | %s %.3g..%.3g", name, course.losses.front(), course.mean(3));
  }
  if (course.first_bad >= 0)
    std::printf(" bad %d(%d late) from %ld", course.bad, course.late_bad,
                static_cast<long>(course.first_bad));
  if (!course.thrown.empty()) std::printf(" '%s'", course.thrown.c_str());
  if (!std::isfinite(course.eval_loss)) std::printf(" eval %g", course.eval_loss);
}

bool check(const Case& training, bool only_bad) {
  auto exact = Recipe::fp32();
  exact.accumulation = training.recipe.accumulation;
  exact.max_grad_norm = training.recipe.max_grad_norm;
  const auto high = trained(training, exact), low = trained(training, training.recipe);
  const auto& truth = training.truth;
  const bool whole = training.recipe.model_dtype == at::kFloat;
  const auto high_gradients = gradients_of(training, exact);
  const auto low_gradients = whole ? gradients_of(training, training.recipe) : Gradients{};
  auto problem = problem_of(training, low, high, low_gradients, high_gradients);
  if (problem.empty()) problem = problem_of_sample(training);
  if (only_bad && problem.empty()) return true;
  std::printf("%s%s %s %s lr %.3g steps %ld..%ld", truth.kind.c_str(), truth.clean ? " clean" : "",
              training.precision.c_str(), training.optimizer.c_str(), training.learning_rate,
              static_cast<long>(truth.first_step), static_cast<long>(truth.last_step));
  show("fp32", high);
  show("low", low);
  std::printf(" | gradient off %.2g zeros %.2f/%.2f | %s\n",
              relative_error(low_gradients, high_gradients), low_gradients.zeros,
              high_gradients.zeros, problem.empty() ? "ok" : ("PROBLEM: " + problem).c_str());
  std::fflush(stdout);
  return problem.empty();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seed = 1;
  int draws = 2;
  bool only_bad = false;
  auto kinds = faults::kinds();
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--bad") {
      only_bad = true;
      continue;
    }
    if (option == "--seed") seed = std::stoull(value);
    if (option == "--draws") draws = std::stoi(value);
    if (option == "--kind") kinds = {value};
    ++i;
  }
  int wrong = 0;
  for (const auto& kind : kinds)
    for (int i = 0; i < draws; ++i)
      for (const bool clean : {false, true}) {
        std::seed_seq seeds = {seed, std::hash<std::string>()(kind), static_cast<std::uint64_t>(i)};
        std::mt19937_64 random(seeds);
        wrong += check(faults::draw(kind, clean, random), only_bad) ? 0 : 1;
      }
  std::printf("%d of %zu trainings are not what their truth says.\n", wrong,
              kinds.size() * static_cast<std::size_t>(2 * draws));
  return wrong == 0 ? 0 : 1;
}
