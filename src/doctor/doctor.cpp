// Doctor: watching, and when to experiment.
#include "amp/doctor.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <type_traits>
#include <utility>

#include "amp/error.h"
#include "src/doctor/case_file.h"
#include "src/doctor/focus.h"
#include "src/doctor/source_line.h"
#include "src/inspect/words.h"

namespace amp {
namespace {

const DoctorOptions& checked(const DoctorOptions& options) {
  const auto require = [](bool holds, const char* rule, std::int64_t value) {
    if (!holds)
      throw InvalidArgument(std::string("Doctor: ") + rule + ", got " + std::to_string(value));
  };
  require(options.replays >= 1, "replays must be >= 1", options.replays);
  require(options.trial_steps >= 0, "trial_steps must be >= 0", options.trial_steps);
  require(options.trials >= 0, "trials must be >= 0", options.trials);
  require(options.patience >= 1, "patience must be >= 1", options.patience);
  return options;
}

}  // namespace

struct Doctor::Impl {
  DoctorOptions options;
  TrainStep& train_step;
  doctor::CaseFile::MakeInspector make_inspector;
  Inspector inspector;
  Experiment experiment;
  std::optional<ReferenceRun> reference;
  bool is_script;
  std::function<std::string(const std::string& module, const std::string& op)> source_of = {};
  std::int64_t step = 0;
  std::int64_t pinned = -1;  // where the present row of bad steps begins
  // The places of overflows that no loss shows, with their first steps, whose states are kept.
  std::map<std::string, std::int64_t> hidden = {};
  std::optional<Examination> examination;

  template <typename Module>
  Impl(Module& model, TrainStep& trains, DoctorOptions given)
      : options(checked(given)),
        train_step(trains),
        make_inspector([&model, &trains] {
          Inspector made(model, {.histograms = false});
          made.add_names(trains.weights());
          made.set_dynamic_scaling(false);
          return made;
        }),
        inspector(model, options.inspector),
        experiment(model, trains, options.experiment),
        is_script(std::is_same_v<Module, torch::jit::Module>) {
    if constexpr (std::is_same_v<Module, torch::jit::Module>)
      source_of = [&model](const std::string& module, const std::string& op) {
        return doctor::source_line(model, module, op);
      };
    inspector.add_names(trains.weights());
    inspector.set_dynamic_scaling(trains.recipe().loss_scaling == LossScaling::dynamic);
  }

  void begin(std::int64_t number, at::TensorList inputs, TrainStep::Loss loss) {
    step = number;
    experiment.keep(number, inputs, std::move(loss));
    inspector.begin_step(number, train_step.scaler().get_scale());
  }

  // Keeps the state in which the present row of bad steps began.
  void pin() {
    const auto& steps = inspector.evidence().steps;
    if (steps.empty()) return;
    if (const auto& fault = steps.back().hidden_overflow; fault.has_value() && hidden.size() < 2) {
      if (hidden.try_emplace(fault->module + " " + fault->op, step).second) experiment.pin(step);
    }
    const bool wrong = doctor::went_wrong(steps.back());
    if (wrong && pinned < 0) {
      pinned = step;
      experiment.pin(step);
      experiment.pin(step - 1);  // which may have ruined the weights
    } else if (!wrong && pinned >= 0) {
      if (!keeps(steps)) {
        unpin(pinned);
        unpin(pinned - 1);
      }
      pinned = -1;
    }
  }
  void unpin(std::int64_t at) {
    const auto is_hidden = [&](const auto& place) { return place.second == at; };
    if (std::ranges::none_of(hidden, is_hidden)) experiment.unpin(at);
  }
  // Whether the step must be explained whether or not the fault lasts.
  bool keeps(const std::vector<StepEvidence>& steps) const {
    const auto foci = doctor::foci_of(inspector.evidence());
    return std::ranges::any_of(
        foci, [&](const doctor::Focus& focus) { return steps[focus.place].step == pinned; });
  }

  bool is_settled() const {
    const auto& evidence = inspector.evidence();
    if (evidence.steps.empty()) return false;
    if (evidence.steps.back().thrown.has_value()) return true;
    const auto row = evidence.steps.size() - doctor::begin_of_last_streak(evidence);
    const auto patience =
        evidence.dynamic_scaling ? options.patience : std::min<std::int64_t>(3, options.patience);
    return static_cast<std::int64_t>(row) >= patience;
  }

  const Examination& examine() {
    if (examination.has_value()) return *examination;
    auto evidence = inspector.evidence();
    doctor::CaseFile file{experiment, evidence,       train_step.recipe(),
                          options,    make_inspector, reference};
    file.is_script = is_script;
    bool is_whole = true;
    try {
      look_before(file, evidence);
      file.model_casts = file.computes_in_fp32() && has_low_calls(file);
      experiment_on(file);
    } catch (const doctor::Cancelled&) {
      is_whole = false;
      file.result.notes.push_back("the examination was interrupted: it says what was known then");
    }
    finish(file, evidence, is_whole);
    return examination.emplace(std::move(file.result));
  }

  // If an unrecorded step left weights that are not finite, a replay of it tells what happened.
  void look_before(doctor::CaseFile& file, Evidence& evidence) const {
    auto& steps = evidence.steps;
    for (std::size_t i = 1; i < steps.size(); ++i) {
      const auto& fault = steps[i].non_finite;
      const bool was_ruined =
          fault.has_value() && fault->origin == FirstNonFinite::Origin::parameter;
      if (!was_ruined) continue;
      auto& before = steps[i - 1];
      if (before.recorded || doctor::went_wrong(before)) return;
      auto recorder = make_inspector();
      file.play(before.step, {.inspector = &recorder});
      const auto& seen = recorder.evidence().steps;
      if (!seen.empty() && seen.front().non_finite.has_value())
        before.non_finite = seen.front().non_finite;
      return;
    }
  }

  static bool has_low_calls(doctor::CaseFile& file) {
    const auto steps = file.experiment.steps();
    if (steps.empty()) return false;
    const auto calls = file.experiment.play(steps.back(), {.find_calls = true}).calls;
    return std::ranges::any_of(calls, &OpCall::is_low);
  }

  static void experiment_on(doctor::CaseFile& file) {
    for (const auto& focus : doctor::foci_of(file.evidence)) {
      doctor::explain_fault(file, focus);
      if (file.result.diagnosis.verdict != Verdict::clean || !file.may_replay()) break;
    }
    if (file.result.diagnosis.verdict != Verdict::clean) return;
    if (file.has_low_precision() && doctor::explain_hidden_overflow(file)) return;
    doctor::explain_silence(file);
  }

  // Ends the sentence with a remedy, if one is known to help.
  void finish(doctor::CaseFile& file, const Evidence& evidence, bool is_whole) const {
    auto& result = file.result;
    auto& diagnosis = result.diagnosis;
    if (diagnosis.verdict == Verdict::clean) {
      const auto words = diagnose({evidence.steps, true});
      diagnosis = {};
      diagnosis.loss_scale = evidence.steps.empty() ? 1 : evidence.steps.back().loss_scale;
      const auto steps = std::to_string(evidence.steps.size()) + " steps";
      diagnosis.sentence = !is_whole ? "nothing was found in " + steps + " yet"
                           : words.verdict == Verdict::clean ? words.sentence
                                                             : "nothing is wrong in " + steps;
      result.remedies.clear();
      return;
    }
    if (source_of) diagnosis.source = source_of(diagnosis.module, diagnosis.op);
    if (!diagnosis.source.empty())
      result.notes.push_back(diagnosis.op + " is at " + diagnosis.source);
    if (!diagnosis.place.empty())
      result.notes.push_back("the numbers that are not finite lie at " + diagnosis.place);
    const auto& remedies = result.remedies;
    if (remedies.empty()) return;
    const auto old = "; " + diagnosis.remedy;
    if (!diagnosis.remedy.empty() && diagnosis.sentence.ends_with(old))
      diagnosis.sentence.resize(diagnosis.sentence.size() - old.size());
    diagnosis.remedy.clear();
    if (!remedies.front().cures && remedies.front().steps > 0) {
      diagnosis.sentence += "; nothing that was tried cures it";
    } else {
      diagnosis.remedy = remedies.front().advice;
      if (remedies.front().cures) diagnosis.remedy += " (tried: " + remedies.front().outcome + ")";
      diagnosis.sentence += "; " + diagnosis.remedy;
    }
  }
};

Doctor::Doctor(torch::nn::Module& model, TrainStep& train_step, DoctorOptions options)
    : impl_(std::make_unique<Impl>(model, train_step, std::move(options))) {}
Doctor::Doctor(torch::jit::Module& model, TrainStep& train_step, DoctorOptions options)
    : impl_(std::make_unique<Impl>(model, train_step, std::move(options))) {}
Doctor::~Doctor() = default;
Doctor::Doctor(Doctor&&) noexcept = default;
Doctor& Doctor::operator=(Doctor&&) noexcept = default;

StepReport Doctor::step(at::TensorList inputs, const TrainStep::Loss& loss) {
  begin_step(impl_->step + 1, inputs, loss);
  try {
    auto report = impl_->train_step(inputs, loss);
    end_step(report);
    return report;
  } catch (...) {
    fail_step(std::current_exception());
    throw;
  }
}

StepReport Doctor::step(const std::function<at::Tensor()>& loss) {
  return step({}, [loss](at::TensorList) { return loss(); });
}

void Doctor::begin_step(std::int64_t step, at::TensorList inputs, TrainStep::Loss loss) {
  impl_->begin(step, inputs, std::move(loss));
}

void Doctor::end_step(const StepReport& report) {
  impl_->inspector.end_step(report);
  impl_->pin();
}

std::optional<Thrown> Doctor::fail_step(const std::exception_ptr& error) {
  impl_->inspector.fail_step(error);
  impl_->pin();
  return impl_->inspector.evidence().steps.back().thrown;
}

void Doctor::set_reference(ReferenceRun reference) { impl_->reference = std::move(reference); }
bool Doctor::is_settled() const { return impl_->is_settled(); }
Inspector& Doctor::inspector() { return impl_->inspector; }
Experiment& Doctor::experiment() { return impl_->experiment; }
const Examination& Doctor::examination() { return impl_->examine(); }

}  // namespace amp
