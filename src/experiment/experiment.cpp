// Experiment: which moments of a training are kept.
#include "amp/experiment.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/topk.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "amp/error.h"
#include "src/experiment/play.h"

namespace amp {
namespace {

using experiment::KeptBatch;
using experiment::State;

const ExperimentOptions& checked(const ExperimentOptions& options) {
  const auto require = [](bool holds, const char* field, std::int64_t value) {
    if (!holds)
      throw InvalidArgument(std::string("Experiment: ") + field + " must be >= 1, got " +
                            std::to_string(value));
  };
  require(options.states >= 1, "states", options.states);
  require(options.batches >= 1, "batches", options.batches);
  require(options.memory >= 1, "memory", options.memory);
  return options;
}

bool is_finite(const at::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.layout() != c10::kStrided) return true;
  return at::isfinite(tensor).all().item<bool>();
}

}  // namespace

struct Experiment::Impl {
  experiment::Subject subject;
  ExperimentOptions options;
  std::map<std::int64_t, State> states;
  std::set<std::int64_t> pinned;
  std::deque<KeptBatch> batches;
  std::int64_t replays = 0;
  bool knows_draws = false;

  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const auto& [step, state] : states) sum += state.bytes();
    return sum;
  }

  // Drops states that are not pinned, the oldest first. The newest stays.
  void make_room() {
    const auto free = [&](std::int64_t step) {
      return !pinned.contains(step) && step != states.rbegin()->first;
    };
    const auto is_full = [&] {
      const auto unpinned = std::ranges::count_if(
          states, [&](const auto& state) { return !pinned.contains(state.first); });
      return unpinned > options.states || bytes() > options.memory;
    };
    while (is_full()) {
      const auto oldest =
          std::ranges::find_if(states, [&](const auto& state) { return free(state.first); });
      if (oldest == states.end()) return;
      states.erase(oldest);
    }
  }

  void keep(std::int64_t step, at::TensorList inputs, TrainStep::Loss loss) {
    batches.push_back({step, inputs.vec(), std::move(loss)});
    if (static_cast<std::int64_t>(batches.size()) > options.batches) batches.pop_front();
    if (!subject.train_step->at_boundary()) return;  // the state of the group's first holds
    states.insert_or_assign(step, experiment::state_of(subject));
    if (states.size() == 1) pinned.insert(step);
    make_room();
  }

  // The micro-batches from the step on, or only that one if `alone`.
  std::vector<const KeptBatch*> batches_from(std::int64_t step, bool alone) const {
    std::vector<const KeptBatch*> found;
    for (const auto& batch : batches) {
      if (batch.step == step || (!alone && batch.step > step)) found.push_back(&batch);
    }
    return found;
  }

  // Finds out once which calls draw random numbers below fp32.
  void learn_draws(const State& state, const std::vector<const KeptBatch*>& found) {
    if (std::exchange(knows_draws, true)) return;
    const auto calls = experiment::played(subject, state, found, {.find_calls = true}).calls;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const auto dtype = calls[i].dtype;
      if (calls[i].is_low && subject.own_low == c10::ScalarType::Undefined) subject.own_low = dtype;
      if (calls[i].is_random && dtype != c10::ScalarType::Undefined && c10::elementSize(dtype) < 4)
        subject.drawn.emplace_back(static_cast<std::int64_t>(i), dtype);
    }
  }

  Outcome play(std::int64_t step, const Variation& variation) {
    const auto found =
        batches_from(variation.batch.value_or(step), variation.steps == 0 || variation.same_batch);
    // Within an accumulation group the state is that of its first micro-batch.
    auto state = states.upper_bound(step);
    if (found.empty() || state == states.begin()) return {};
    --state;
    if (state->first != step && subject.train_step->recipe().accumulation == 1) return {};
    try {
      if (variation.wide.has_value()) learn_draws(state->second, found);
      auto outcome = experiment::played(subject, state->second, found, variation);
      replays += static_cast<std::int64_t>(std::max<std::size_t>(1, outcome.losses.size()));
      return outcome;
    } catch (const std::exception&) {  // this optimizer has no such state, a rule no such module
      Outcome none;
      none.thrown = thrown_of(std::current_exception());
      return none;
    }
  }
};

Experiment::Experiment(torch::nn::Module& model, TrainStep& train_step, ExperimentOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = checked(options);
  impl_->subject = experiment::subject_of(model, train_step);
  impl_->subject.is_cancelled = impl_->options.is_cancelled;
}
Experiment::Experiment(torch::jit::Module& model, TrainStep& train_step, ExperimentOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = checked(options);
  impl_->subject = experiment::subject_of(model, train_step);
  impl_->subject.is_cancelled = impl_->options.is_cancelled;
}
Experiment::~Experiment() = default;
Experiment::Experiment(Experiment&&) noexcept = default;
Experiment& Experiment::operator=(Experiment&&) noexcept = default;

void Experiment::keep(std::int64_t step, at::TensorList inputs, TrainStep::Loss loss) {
  impl_->keep(step, inputs, std::move(loss));
}

void Experiment::pin(std::int64_t step) {
  if (impl_->states.contains(step)) impl_->pinned.insert(step);
}

void Experiment::unpin(std::int64_t step) {
  if (impl_->states.empty() || step == impl_->states.begin()->first) return;
  impl_->pinned.erase(step);
  impl_->make_room();
}

std::vector<std::int64_t> Experiment::steps() const {
  std::vector<std::int64_t> steps;
  for (const auto& [step, state] : impl_->states) steps.push_back(step);
  return steps;
}

std::int64_t Experiment::samples(std::int64_t step) const {
  for (const auto& batch : impl_->batches) {
    if (batch.step != step) continue;
    std::int64_t samples = -1;
    for (const auto& input : batch.inputs) {
      const auto size = input.dim() == 0 ? 0 : input.size(0);
      samples = samples < 0 || samples == size ? size : 0;
    }
    return std::max<std::int64_t>(samples, 0);
  }
  return 0;
}

std::optional<std::int64_t> Experiment::outlier(std::int64_t step) const {
  if (samples(step) < 3) return std::nullopt;
  const auto batch = std::ranges::find(impl_->batches, step, &KeptBatch::step);
  const c10::NoGradGuard no_grad;
  for (const auto& input : batch->inputs) {
    if (!input.is_floating_point() || input.numel() == 0) continue;
    const auto rows = input.detach().to(at::kDouble).reshape({input.size(0), -1});
    const auto sizes = at::nan_to_num(rows, 0, 0, 0).abs().amax(1);
    const auto [largest, which] = at::topk(sizes, 2);
    if (largest[0].item<double>() > 100 * largest[1].item<double>() &&
        largest[1].item<double>() > 0)
      return which[0].item<std::int64_t>();
  }
  return std::nullopt;
}

std::int64_t Experiment::replays() const { return impl_->replays; }

std::string Experiment::non_finite_buffer(std::int64_t step) const {
  const auto state = impl_->states.find(step);
  if (state == impl_->states.end()) return {};
  const auto weights = experiment::weights_of(impl_->subject);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto& value = state->second.own[i];
    if (!weights[i].is_parameter && value.defined() && !is_finite(value)) return weights[i].name;
  }
  return {};
}

bool Experiment::has_finite_inputs(std::int64_t step) const {
  const auto batch = std::ranges::find(impl_->batches, step, &KeptBatch::step);
  return batch != impl_->batches.end() && !batch->inputs.empty() &&
         std::ranges::all_of(batch->inputs, is_finite);
}

std::pair<std::int64_t, std::int64_t> Experiment::trained_numbers() const {
  std::pair<std::int64_t, std::int64_t> numbers;
  for (const auto& weight : experiment::weights_of(impl_->subject)) {
    if (!weight.is_parameter) continue;
    numbers.second += weight.own.numel();
    if (weight.own.requires_grad()) numbers.first += weight.own.numel();
  }
  return numbers;
}

Outcome Experiment::play(std::int64_t step, const Variation& variation) {
  return impl_->play(step, variation);
}

bool Experiment::reproduces(std::int64_t step, double loss) {
  const auto same = [](double a, double b) { return a == b || (a != a && b != b); };
  const auto first = play(step), second = play(step);
  if (!first.played || !second.played || first.losses.empty() || second.losses.empty())
    return first.thrown.has_value() && second.thrown.has_value();
  return same(first.losses[0], second.losses[0]) && same(first.losses[0], loss);
}

}  // namespace amp
