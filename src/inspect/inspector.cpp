// Inspector: which steps are recorded, and what is kept of them.
#include "amp/inspect.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "amp/error.h"
#include "src/autocast/log.h"
#include "src/cpu_math/single_copy.h"
#include "src/inspect/names.h"
#include "src/inspect/plain_executor.h"
#include "src/inspect/quiet.h"
#include "src/inspect/recorder.h"
#include "src/inspect/report.h"
#include "src/inspect/summary.h"

namespace amp {
namespace {

InspectorOptions checked(InspectorOptions options) {
  const auto require = [](bool holds, const char* rule, std::int64_t value) {
    if (!holds)
      throw InvalidArgument(std::string("Inspector: ") + rule + ", got " + std::to_string(value));
  };
  require(options.every >= 1, "every must be >= 1", options.every);
  require(options.history >= 1, "history must be >= 1", options.history);
  require(options.flush_every >= 0, "flush_every must be >= 0", options.flush_every);
  if (!options.fp32_comparison.has_value()) options.fp32_comparison = options.shadow;
  return options;
}

void raise(std::optional<double>& largest, double value) {
  largest = std::max(largest.value_or(0), value);
}

}  // namespace

struct Inspector::Impl {
  InspectorOptions options;
  const std::shared_ptr<inspect::Recorder> shared;  // with callbacks that are late
  inspect::Recorder& recorder = *shared;
  inspect::Names& names = shared->names();
  bool in_step = false;
  StepEvidence now;
  std::optional<inspect::PlainExecutor> executor;
  std::optional<CastLog> cast_log;

  Evidence evidence;
  std::vector<OpSummary> summaries;
  using Site = std::tuple<std::string, std::string, std::string, Pass>;
  std::map<Site, std::size_t> sites;
  std::map<std::tuple<std::string, CastRule, std::string>, CastCount> casts;
  std::vector<Fp32Comparison> comparison_sums;
  std::map<Site, std::size_t> comparison_sites;
  std::optional<Departure> first_departure;

  Impl(inspect::Names model, const InspectorOptions& given)
      : options(checked(given)),
        shared(std::make_shared<inspect::Recorder>(std::move(model), options)) {
    cpu_math::check_single_copy();
  }
  ~Impl() { recorder.stop(); }

  bool records(std::int64_t step) const {
    return options.level == InspectLevel::full ||
           (options.level == InspectLevel::sampled && step % options.every == 0);
  }

  void begin(std::int64_t step, double loss_scale) {
    if (in_step) end();
    if (options.level == InspectLevel::off) return;
    in_step = true;
    now = {.step = step, .loss_scale = loss_scale};
    if (!records(step)) return;
    now.recorded = true;
    executor.emplace();
    if (autocast::log_here() == nullptr) cast_log.emplace();
    recorder.start(loss_scale);
  }

  void stop_recording() {
    if (!recorder.is_recording()) return;
    recorder.stop();
    executor.reset();
    if (cast_log.has_value()) {
      for (const auto& count : cast_log->counts()) {
        auto& sum = casts[{count.op, count.rule, count.by}];
        sum.op = count.op;
        sum.rule = count.rule;
        sum.by = count.by;
        sum.calls += count.calls;
        sum.casts += count.casts;
        sum.bytes += count.bytes;
        sum.served += count.served;
      }
      cast_log.reset();
    }
    take_recorded();
  }

  void take_recorded() {
    for (const auto& op : recorder.trace().ops) {
      add(op);
      raise(op.pass == Pass::forward ? now.forward_amax : now.backward_amax,
            op.output.statistics.amax);
    }
    for (const auto& comparison : recorder.fp32_comparisons()) add(comparison);
    for (const auto& parameter : recorder.parameters()) {
      raise(now.weight_amax, parameter.weight.statistics.amax);
      if (parameter.gradients > 0) raise(now.gradient_amax, parameter.gradient_amax());
    }
    if (!now.loss.has_value()) now.loss = recorder.loss();
    const auto& flushed = recorder.flushed();
    now.flushed = flushed.share;
    now.flushed_op = flushed.op;
    now.flushed_module = flushed.module;
    now.flushed_amax = flushed.amax;
    std::vector<std::string> parameters;
    for (const auto& parameter : names.parameters()) parameters.push_back(parameter.name);
    now.non_finite = inspect::first_non_finite(recorder.trace(), parameters);
    now.hidden_overflow = inspect::hidden_overflow(recorder.trace(), parameters);
  }

  void add(const OpRecord& op) {
    const auto [place, is_new] =
        sites.try_emplace({op.module, op.op, op.called_as, op.pass}, summaries.size());
    if (is_new) summaries.push_back({op.op, op.called_as, op.module, op.dtype, op.pass});
    auto& sum = summaries[place->second];
    ++sum.calls;
    sum.dtype = op.dtype;
    sum.input_amax = std::max(sum.input_amax, op.input_amax);
    sum.output.add(op.output);
  }

  void add(const Fp32Comparison& comparison) {
    if (!first_departure.has_value() && comparison.deviation.departs(*options.fp32_comparison))
      first_departure = {now.step, comparison};
    const auto [place, is_new] = comparison_sites.try_emplace(
        {comparison.module, comparison.op, comparison.op, comparison.pass}, comparison_sums.size());
    if (is_new) {
      comparison_sums.push_back(comparison);
      return;
    }
    auto& sum = comparison_sums[place->second];
    sum.calls += comparison.calls;
    sum.dtype = comparison.dtype;
    sum.deviation.add(comparison.deviation);
  }

  void end(bool skipped = false, const std::vector<at::Tensor>& culprits = {}) {
    stop_recording();
    in_step = false;
    now.skipped = skipped;
    if (skipped) note_culprits(culprits);
    if (now.non_finite.has_value()) {
      now.non_finite->step = now.step;
      now.non_finite->loss_scale = now.loss_scale;
    }
    auto& steps = evidence.steps;
    if (static_cast<std::int64_t>(steps.size()) >= 2 * options.history)
      steps.erase(steps.begin(), steps.end() - static_cast<std::ptrdiff_t>(options.history));
    steps.push_back(std::move(now));
    now = {};
  }

  // known: what the exception alone tells.
  void fail(Thrown known) {
    if (!in_step) return;
    stop_recording();
    // CPU kernels check targets. In a step that was not recorded there is only their message.
    const bool is_target = known.kind == Thrown::Kind::other &&
                           known.message.find("out of bounds") != std::string::npos;
    if (!now.non_finite.has_value() && is_target) {
      FirstNonFinite found;
      found.origin = FirstNonFinite::Origin::target;
      found.detail = known.message;
      now.non_finite = std::move(found);
    }
    if (now.recorded) {
      const auto seen = recorder.thrown();
      known.pass = seen.pass;
      known.op = seen.op;
      known.called_as = seen.called_as;
      known.module = seen.module;
      known.after = seen.after;
      if (known.kind == Thrown::Kind::overflow) known.value = seen.value;
    }
    now.thrown = std::move(known);
    end();
  }

  // If a step's ops were not recorded, only the parameters are known.
  void note_culprits(const std::vector<at::Tensor>& given) {
    auto culprits = given.empty() ? found_in_gradients() : given;
    if (culprits.empty()) return;
    if (!now.non_finite.has_value()) {
      now.non_finite.emplace();
      now.non_finite->origin = FirstNonFinite::Origin::gradient;
      now.non_finite->pass = Pass::backward;
    }
    auto& listed = now.non_finite->culprits;
    if (!listed.empty()) return;
    for (const auto& culprit : culprits) listed.push_back(names.parameter_name(culprit));
    if (now.non_finite->parameter.empty()) now.non_finite->parameter = listed.front();
  }

  std::vector<at::Tensor> found_in_gradients() const {
    std::vector<at::Tensor> found;
    for (const auto& parameter : names.parameters()) {
      const auto& gradient = parameter.tensor.grad();
      if (!inspect::has_numbers(gradient)) continue;
      const inspect::Quiet quiet;
      if (!inspect::summary_of(gradient, {false, {}}).finite()) found.push_back(parameter.tensor);
    }
    return found;
  }

  void require_step() const {
    if (!in_step && options.level != InspectLevel::off)
      throw StateError(
          "Inspector: end_step() without begin_step(); begin the step before its forward pass");
  }
};

Inspector::Inspector(const torch::nn::Module& model, InspectorOptions options)
    : impl_(std::make_unique<Impl>(inspect::Names(model), options)) {}
Inspector::Inspector(const torch::jit::Module& model, InspectorOptions options)
    : impl_(std::make_unique<Impl>(inspect::Names(model), options)) {}
Inspector::Inspector(NamedTensors parameters, InspectorOptions options)
    : impl_(std::make_unique<Impl>(inspect::Names(parameters), options)) {}
Inspector::~Inspector() = default;
Inspector::Inspector(Inspector&&) noexcept = default;
Inspector& Inspector::operator=(Inspector&&) noexcept = default;

void Inspector::add_names(const NamedTensors& tensors) { impl_->names.add(tensors); }

void Inspector::begin_step(std::int64_t step, double loss_scale) {
  if (!(loss_scale > 0) || !std::isfinite(loss_scale)) {
    throw InvalidArgument("Inspector: loss_scale must be positive and finite, got " +
                          std::to_string(loss_scale));
  }
  impl_->begin(step, loss_scale);
}

void Inspector::expect(const std::vector<at::Tensor>& parameters,
                       const std::vector<at::Tensor>& gradients) {
  if (!impl_->recorder.is_recording())
    throw StateError(
        "Inspector: expect() outside of a recorded step; call it after begin_step(), where "
        "recording() is true");
  impl_->recorder.expect(parameters, gradients);
}

void Inspector::end_step(bool skipped) {
  impl_->require_step();
  if (impl_->in_step) impl_->end(skipped);
}

void Inspector::end_step(const StepResult& result) {
  impl_->require_step();
  if (impl_->in_step) impl_->end(result.skipped(), result.non_finite_parameters());
}

void Inspector::end_step(const StepReport& report) {
  impl_->require_step();
  if (!impl_->in_step) return;
  // Only recorded steps wait for a loss on a device; every step that asks waits for the skip.
  const auto& loss = report.loss();
  if (loss.defined() && (loss.is_cpu() || impl_->now.recorded))
    impl_->now.loss = loss.item<double>();
  impl_->end(report.skipped(), report.result().non_finite_parameters());
}

void Inspector::fail_step(const std::string& what) {
  impl_->require_step();
  impl_->fail(thrown_of(what));
}

void Inspector::fail_step(const std::exception_ptr& error) {
  impl_->require_step();
  impl_->fail(thrown_of(error));
}

bool Inspector::recording() const { return impl_->recorder.is_recording(); }
const std::vector<OpRecord>& Inspector::ops() const { return impl_->recorder.trace().ops; }
std::vector<OpSummary> Inspector::summary() const { return impl_->summaries; }
const std::vector<ParameterRecord>& Inspector::parameters() const {
  return impl_->recorder.parameters();
}

const std::vector<Fp32Comparison>& Inspector::fp32_comparisons() const {
  return impl_->recorder.fp32_comparisons();
}
std::vector<Fp32Comparison> Inspector::fp32_comparison_summary() const {
  return impl_->comparison_sums;
}
const std::optional<Inspector::Departure>& Inspector::first_departure() const {
  return impl_->first_departure;
}

std::vector<CastCount> Inspector::casts() const {
  std::vector<CastCount> counts;
  for (const auto& [key, count] : impl_->casts) counts.push_back(count);
  std::ranges::stable_sort(counts, [](const CastCount& a, const CastCount& b) {
    return std::pair(a.bytes, a.calls) > std::pair(b.bytes, b.calls);
  });
  return counts;
}

std::optional<FirstNonFinite> Inspector::first_non_finite() const {
  for (const auto& step : impl_->evidence.steps) {
    if (step.non_finite.has_value()) return step.non_finite;
  }
  return std::nullopt;
}

const Evidence& Inspector::evidence() const { return impl_->evidence; }
void Inspector::set_dynamic_scaling(bool dynamic) { impl_->evidence.dynamic_scaling = dynamic; }
Diagnosis Inspector::diagnosis() const { return diagnose(impl_->evidence); }

std::string Inspector::to_json() const {
  return inspect::report({diagnosis(), impl_->evidence, impl_->summaries, parameters(), casts(),
                          impl_->comparison_sums});
}

void Inspector::clear() {
  const bool dynamic = impl_->evidence.dynamic_scaling;
  impl_->evidence = {};
  impl_->evidence.dynamic_scaling = dynamic;
  impl_->summaries.clear();
  impl_->sites.clear();
  impl_->casts.clear();
  impl_->comparison_sums.clear();
  impl_->comparison_sites.clear();
  impl_->first_departure.reset();
}

}  // namespace amp
