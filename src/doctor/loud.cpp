// What went wrong loudly: Inf, NaN, or something thrown.
#include <algorithm>
#include <cmath>
#include <utility>

#include "src/doctor/case_file.h"
#include "src/inspect/growth.h"
#include "src/inspect/words.h"

namespace amp::doctor {
namespace {

using Origin = FirstNonFinite::Origin;

std::string name_of_format(c10::ScalarType dtype) {
  return dtype == c10::kHalf ? "fp16" : dtype == c10::kBFloat16 ? "bf16" : "fp32";
}

class LoudFault {
 public:
  LoudFault(CaseFile& file, const Focus& focus)
      : file_(file),
        focus_(focus),
        evidence_(file.evidence.steps[focus.place]),
        fault_(evidence_.non_finite),
        step_(evidence_.step) {}

  void explain() {
    auto& diagnosis = file_.result.diagnosis = by_evidence(file_.evidence, focus_.place);
    Inspector own = file_.make_inspector();
    const auto as_it_was =
        file_.try_out("the same micro-batch, as it was", step_, {.inspector = &own});
    take_recording(own.evidence());
    if (!as_it_was.played) {
      file_.result.notes.push_back("the micro-batch of step " + std::to_string(step_) +
                                   " is not kept, so nothing was tried on it");
      return;
    }
    if (as_it_was.is_finite()) {
      file_.result.notes.push_back(
          "played again, the micro-batch of step " + std::to_string(step_) +
          " goes well: the model keeps something between calls, or its order of sums changes; what "
          "follows is from the recording alone");
      return;
    }
    if (fault_.has_value() && fault_->origin == Origin::data &&
        file_.experiment.has_finite_inputs(step_)) {
      diagnosis.fp32_too = true;
      return explain_what_the_model_holds();
    }
    if (focus_.kind == Focus::Kind::data) {
      diagnosis.fp32_too = true;
      find_sample(file_, step_);
      return;
    }
    if (weights_were_ruined() && focus_.place == 0) return explain_initial_weights();
    if (diagnosis.verdict == Verdict::divergence && weights_were_ruined() && explain_growth())
      return;
    Inspector inspector = file_.make_inspector();
    const auto fp32 = file_.try_out("in fp32 from the model's inputs on", step_,
                                    {.wide = c10::kFloat, .inspector = &inspector});
    diagnosis.fp32_too = !fp32.is_finite();
    if (*diagnosis.fp32_too) {
      explain_in_fp32(inspector.evidence());
    } else if (focus_.place > 0 && reference_diverges() && explain_growth()) {
      return;
    } else if (!(growth().explains_overflow() && is_finite_early({}) &&
                 (explain_growth() || explain_low_growth()))) {
      explain_in_low_precision();
    }
  }

  // The step from which remedies are tried.
  std::int64_t trial_step() const { return trial_step_ < 0 ? step_ : trial_step_; }

 private:
  // The diagnosis of one step, as if it were the only one that went wrong.
  static Diagnosis by_evidence(const Evidence& evidence, std::size_t place) {
    Evidence one = evidence;
    one.steps.resize(place + 1);
    one.dynamic_scaling = false;
    for (std::size_t i = 0; i < place; ++i) {
      one.steps[i].non_finite.reset();
      one.steps[i].thrown.reset();
    }
    return diagnose(one);
  }

  // Takes the diagnosis from a replay, if the step's ops were not recorded when it was trained.
  void take_recording(const Evidence& own) {
    if (evidence_.recorded || own.steps.empty() || !went_wrong(own.steps.front())) return;
    auto found = by_evidence(own, 0);
    if (found.verdict == Verdict::clean) return;
    found.step = step_;
    file_.result.diagnosis = std::move(found);
  }

  bool weights_were_ruined() const {
    return fault_.has_value() && fault_->origin == Origin::parameter;
  }

  // Whether the fp32 training of the same batches diverges, too.
  bool reference_diverges() const {
    const auto& reference = file_.reference;
    if (!reference.has_value() || reference->losses.empty()) return false;
    const double first = std::abs(reference->losses.front());
    return reference->failed || std::abs(late_mean(reference->losses)) > 100 * first;
  }

  inspect::Growth growth() const { return inspect::growth_until(file_.evidence, focus_.place); }
  std::int64_t first_step() const { return file_.experiment.steps().front(); }

  // The fault is there without low precision. The replay in fp32 tells which op it is, and fp64
  // whether fp32's range is the cause.
  void explain_in_fp32(const Evidence& fp32) {
    auto& diagnosis = file_.result.diagnosis;
    if (!fp32.steps.empty() && went_wrong(fp32.steps.front())) {
      auto found = by_evidence(fp32, 0);
      if (found.verdict != Verdict::clean) {
        found.step = step_;
        found.fp32_too = true;
        if (diagnosis.verdict != Verdict::bad_data && diagnosis.verdict != Verdict::divergence)
          diagnosis = std::move(found);
      }
    }
    const auto fp64 = file_.try_out("in fp64", step_, {.wide = c10::kDouble});
    if (diagnosis.verdict == Verdict::bad_data) return find_sample(file_, step_);
    if ((growth().explains_overflow() || diagnosis.verdict == Verdict::divergence) &&
        is_finite_early({.wide = c10::kFloat}) && (explain_growth() || explain_low_growth()))
      return;
    if (diagnosis.verdict == Verdict::scale_overflow || diagnosis.verdict == Verdict::divergence)
      diagnosis.verdict = fp64.is_finite() ? Verdict::forward_overflow : Verdict::model_nan;
    if (diagnosis.verdict == Verdict::model_nan && fp64.is_finite() && !file_.computes_in_fp32())
      diagnosis.verdict = Verdict::forward_overflow;
    find_sample(file_, step_);
    prefix("fp32 goes wrong on this micro-batch, too; ");
  }

  void prefix(const std::string& words) {
    auto& sentence = file_.result.diagnosis.sentence;
    const auto colon = sentence.find(": ");
    const auto at = sentence.starts_with("step ") && colon != std::string::npos ? colon + 2 : 0;
    sentence.insert(at, words);
  }

  bool is_finite_early(Variation variation) {
    if (first_step() == step_) return false;
    variation.batch = step_;
    return file_
        .try_out("the same micro-batch with the weights of step " + std::to_string(first_step()),
                 first_step(), variation)
        .is_finite();
  }

  // Tries a smaller learning rate from the first state on. Returns false if fp32 does not grow:
  // then growth is not the cause.
  bool explain_growth() {
    auto& diagnosis = file_.result.diagnosis;
    if (began_with_a_sample()) return true;
    const auto steps = std::clamp<std::int64_t>(step_ - first_step() + 2, 5, 100);
    const auto before = file_.result.replays;
    const bool in_fp32 = file_.computes_in_fp32();
    const auto fp32 = in_fp32 ? Outcome()
                              : file_.try_out(std::to_string(steps) + " steps in fp32",
                                              first_step(), {.wide = c10::kFloat, .steps = steps});
    const auto slow =
        file_.try_out(std::to_string(steps) + " steps with a tenth of the learning rate",
                      first_step(), {.learning_rate = 0.1, .steps = steps});
    file_.result.replays = before + 2;
    if (!in_fp32 && fp32.is_finite() && !grows(fp32)) return false;
    if (in_fp32 || fp32.played) diagnosis.fp32_too = in_fp32 || !fp32.is_finite() || grows(fp32);
    if (reference_diverges()) {
      const auto& losses = file_.reference->losses;
      diagnosis.verdict = Verdict::divergence;
      diagnosis.fp32_too = true;
      diagnosis.sentence = "step " + std::to_string(step_) +
                           ": the training diverges: in fp32 the loss goes from " +
                           inspect::shown(losses.front()) + " to " +
                           (file_.reference->failed ? "Inf or NaN" : inspect::shown(losses.back()));
    } else if (diagnosis.verdict != Verdict::divergence) {
      diagnosis.verdict = Verdict::divergence;
      diagnosis.sentence = "step " + std::to_string(step_) +
                           ": the training diverges: the loss grew " +
                           inspect::shown(growth().loss) + "-fold and the largest weight " +
                           inspect::shown(growth().weight) + "-fold";
    }
    const double calm = calm_rate(file_, first_step());
    file_.result.remedies = {with_learning_rate(calm), with_learning_rate(calm / 10),
                             with_clipping(file_.recipe, 1)};
    if (const double loss = evidence_.loss.value_or(0); loss < -1e4)
      file_.result.notes.push_back(
          "the loss falls below every bound: is its sign right, and is it bounded from below?");
    if (slow.played && !slow.is_finite())
      file_.result.notes.push_back("a tenth of the learning rate does not help");
    if (diagnosis.fp32_too == true && !reference_diverges()) prefix("fp32 goes wrong, too; ");
    trial_step_ = first_step();
    return true;
  }

  // fp32 does not grow on the same batches, so this looks at what low precision does to the
  // gradients from the first step on.
  bool explain_low_growth() {
    if (file_.computes_in_fp32()) return false;
    const auto fp32 = file_.play(first_step(), {.wide = c10::kFloat, .keep_gradients = true});
    if (!fp32.is_finite()) return false;
    file_.at = first_step();
    const bool is_rounding = explain_precision(file_, fp32);
    file_.at = -1;
    if (!is_rounding) return false;
    auto& diagnosis = file_.result.diagnosis;
    diagnosis.fp32_too = false;
    diagnosis.sentence += "; the training diverges by it, and does not in fp32";
    trial_step_ = first_step();
    return true;
  }

  // Whether the loss jumped at one of the last micro-batches, and that one holds a sample unlike
  // all others.
  bool began_with_a_sample() {
    for (auto place = focus_.place + 1; place-- > 0 && place + 3 > focus_.place;) {
      const auto& before = file_.evidence.steps[place];
      const auto outlier = file_.experiment.outlier(before.step);
      if (!outlier.has_value() || !jumps(place)) continue;
      blame_sample(
          file_, before.step, *outlier,
          ", and the loss jumped to " + inspect::shown(before.loss.value_or(std::nan(""))));
      return true;
    }
    return false;
  }
  bool jumps(std::size_t place) const {
    const auto& steps = file_.evidence.steps;
    const double loss = std::abs(steps[place].loss.value_or(0));
    for (std::size_t i = 0; i < place; ++i) {
      if (!(loss > 10 * std::abs(steps[i].loss.value_or(0)))) return false;
    }
    return place > 0;
  }
  static bool grows(const Outcome& outcome) {
    if (outcome.losses.size() < 2) return false;
    const double first = std::abs(outcome.losses.front());
    const auto jumps = [&](double loss) { return std::abs(loss) > 100 * first; };
    return std::abs(late_mean(outcome.losses)) > 10 * first ||
           std::ranges::any_of(outcome.losses, jumps);
  }

  // fp32 is fine, so the scale, the range or the rounding is the cause.
  void explain_in_low_precision() {
    auto& diagnosis = file_.result.diagnosis;
    if (file_.is_scaled() && evidence_.loss_scale != 1) {
      const auto unscaled = file_.try_out("at loss scale 1", step_, {.loss_scale = 1.0});
      if (unscaled.is_finite()) return explain_scale();
    }
    drop_advice();
    if (diagnosis.verdict == Verdict::divergence)
      diagnosis.sentence = place() + " is finite in fp32 on this micro-batch, and not here";
    const bool is_half = file_.recipe.compute_dtype == c10::kHalf;
    Outcome bf16;
    if (is_half) bf16 = file_.try_out("in bf16", step_, {.recipe = in_bf16(file_.recipe).recipe});
    const bool inputs_were_ruined =
        fault_.has_value() && fault_->evaluated && !fault_->finite_in_wide;
    if (inputs_were_ruined || diagnosis.verdict == Verdict::model_nan)
      explain_ruined_inputs();
    else
      diagnosis.verdict = Verdict::forward_overflow;
    if (file_.computes_in_fp32()) {
      file_.result.remedies.push_back(
          {.advice = "leave out the model's own cast to low precision before this op"});
      diagnosis.sentence += "; the model itself casts to low precision, the training is in fp32";
      return find_sample(file_, step_);
    }
    find_ops(file_, step_);
    if (bf16.is_finite()) file_.result.remedies.push_back(in_bf16(file_.recipe));
    file_.result.remedies.push_back(in_fp32(file_.recipe));
    find_sample(file_, step_);
  }

  // "step 3: blocks.1 exp"
  std::string place() const {
    const auto& d = file_.result.diagnosis;
    return "step " + std::to_string(step_) + ": " + (d.module.empty() ? "" : d.module + " ") +
           (d.op.empty() ? "an op" : d.op);
  }
  // Drops the remedy that the recording alone would advise.
  void drop_advice() {
    auto& d = file_.result.diagnosis;
    const auto advice = "; " + d.remedy;
    if (!d.remedy.empty() && d.sentence.ends_with(advice))
      d.sentence.resize(d.sentence.size() - advice.size());
    d.remedy.clear();
  }

  void explain_scale() {
    auto& diagnosis = file_.result.diagnosis;
    // A dynamic scale needs such steps to find its place.
    if (file_.evidence.dynamic_scaling &&
        static_cast<std::int64_t>(focus_.length) < file_.options.patience &&
        focus_.kind != Focus::Kind::recurring) {
      diagnosis = {};
      return;
    }
    if (diagnosis.verdict != Verdict::scale_overflow) {
      diagnosis.verdict = Verdict::scale_overflow;
      diagnosis.sentence = "step " + std::to_string(step_) +
                           ": the gradients overflow at loss scale " +
                           inspect::shown(evidence_.loss_scale) + " and are finite at 1";
    }
    double good = 1;
    for (double scale = evidence_.loss_scale / 4; scale > 1 && file_.may_replay(); scale /= 16) {
      const auto outcome =
          file_.try_out("at loss scale " + inspect::shown(scale), step_, {.loss_scale = scale});
      if (!outcome.is_finite()) continue;
      good = scale / 4;
      break;
    }
    if (!file_.evidence.dynamic_scaling)
      file_.result.remedies.push_back(with_dynamic_scale(file_.recipe));
    file_.result.remedies.push_back(with_scale(file_.recipe, std::max(good, 1.0)));
    file_.result.remedies.push_back(in_bf16(file_.recipe));
  }

  // The model's finite inputs became something that the op has no value for. The cause is a
  // constant that is zero in the format, or rounding.
  void explain_ruined_inputs() {
    auto& diagnosis = file_.result.diagnosis;
    const auto format = name_of_format(file_.recipe.compute_dtype);
    const auto constants = file_.play(step_, {.find_constants = true}).flushed_constants;
    diagnosis.verdict = constants.empty() ? Verdict::precision_loss : Verdict::flushed_constant;
    const auto where = place();
    if (constants.empty()) {
      diagnosis.sentence = where + " has a finite value for its input in fp32, and none for what " +
                           format + " rounded it to";
      return;
    }
    const auto& [op, constant] = constants.front();
    diagnosis.sentence = where + " has no finite value: the " + inspect::shown(constant) +
                         " that " + op + " adds is zero in " + format;
    file_.result.notes.push_back("the least constant that " + format + " keeps is " +
                                 (format == "fp16" ? "6e-8, and 6.1e-5 with all its digits"
                                                   : "9.2e-41, and 1.2e-38 with all its digits"));
    file_.result.remedies.push_back({.advice = std::string("use a constant of at least ") +
                                               (format == "fp16" ? "6.1e-5" : "1.2e-38") +
                                               " in the place of " + inspect::shown(constant)});
  }

  // The weights were not finite before the first step, so no step of this training made them so.
  void explain_initial_weights() {
    auto& diagnosis = file_.result.diagnosis;
    if (file_.recipe.model_dtype != c10::kFloat) {
      const auto fp32 =
          file_.try_out("in fp32 from the model's inputs on", step_, {.wide = c10::kFloat});
      if (fp32.is_finite()) return explain_low_weights();
    }
    diagnosis.verdict = Verdict::model_nan;
    diagnosis.fp32_too = true;
    diagnosis.sentence = "step " + std::to_string(step_) + ": the weight " + fault_->parameter +
                         " held " + fault_->detail + " before the first step";
    file_.result.remedies = {
        {.advice = "initialise " + fault_->parameter + ", or begin with weights that are finite"}};
  }

  // The Inf or NaN is in neither the batch nor a parameter, so it is in a buffer or another tensor
  // of the model's own.
  void explain_what_the_model_holds() {
    auto& diagnosis = file_.result.diagnosis;
    const auto buffer = file_.experiment.non_finite_buffer(step_);
    const auto what = buffer.empty() ? "a tensor that the model holds" : "the buffer " + buffer;
    diagnosis.verdict = Verdict::model_nan;
    diagnosis.parameter = buffer;
    diagnosis.sentence = "step " + std::to_string(step_) + ": " +
                         (diagnosis.module.empty() ? "" : diagnosis.module + " ") + diagnosis.op +
                         " was given " + what + ", which holds " + fault_->detail +
                         "; the batch is finite";
    file_.result.remedies = {{.advice = "look at what fills " + what}};
  }

  // The weights are finite in fp32, and not in the model's dtype.
  void explain_low_weights() {
    auto& diagnosis = file_.result.diagnosis;
    diagnosis.verdict = Verdict::forward_overflow;
    diagnosis.fp32_too = false;
    diagnosis.op = "to";
    diagnosis.sentence = "step " + std::to_string(step_) + ": the weight " + fault_->parameter +
                         " is finite in fp32 and too large for " +
                         name_of_format(file_.recipe.model_dtype) +
                         ", the dtype that the model is converted to";
    file_.result.remedies = {in_low_precision_on_fp32_weights(file_.recipe), in_bf16(file_.recipe),
                             in_fp32(file_.recipe)};
  }

  CaseFile& file_;
  const Focus focus_;
  const StepEvidence& evidence_;
  const std::optional<FirstNonFinite>& fault_;
  const std::int64_t step_;
  std::int64_t trial_step_ = -1;
};

}  // namespace

void explain_fault(CaseFile& file, const Focus& focus) {
  LoudFault fault(file, focus);
  fault.explain();
  if (file.result.diagnosis.verdict != Verdict::clean) try_remedies(file, fault.trial_step());
}

}  // namespace amp::doctor
