// What went wrong loudly: Inf, NaN, or something thrown.
#include "src/doctor/loud_fault.h"

#include <utility>

namespace amp::doctor {

void LoudFault::explain() {
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
  if (fault_.has_value() && fault_->origin == FirstNonFinite::Origin::data &&
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
  if (diagnosis.verdict == Verdict::divergence && weights_were_ruined() && explain_growth()) return;
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

Diagnosis LoudFault::by_evidence(const Evidence& evidence, std::size_t place) {
  Evidence one = evidence;
  one.steps.resize(place + 1);
  one.dynamic_scaling = false;
  for (std::size_t i = 0; i < place; ++i) {
    one.steps[i].non_finite.reset();
    one.steps[i].thrown.reset();
  }
  return diagnose(one);
}

void LoudFault::take_recording(const Evidence& own) {
  if (evidence_.recorded || own.steps.empty() || !went_wrong(own.steps.front())) return;
  auto found = by_evidence(own, 0);
  if (found.verdict == Verdict::clean) return;
  found.step = step_;
  file_.result.diagnosis = std::move(found);
}

bool LoudFault::weights_were_ruined() const {
  return fault_.has_value() && fault_->origin == FirstNonFinite::Origin::parameter;
}

void LoudFault::explain_in_fp32(const Evidence& fp32) {
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

void LoudFault::prefix(const std::string& words) {
  auto& sentence = file_.result.diagnosis.sentence;
  const auto colon = sentence.find(": ");
  const auto at = sentence.starts_with("step ") && colon != std::string::npos ? colon + 2 : 0;
  sentence.insert(at, words);
}

void explain_fault(CaseFile& file, const Focus& focus) {
  LoudFault fault(file, focus);
  fault.explain();
  if (file.result.diagnosis.verdict != Verdict::clean) try_remedies(file, fault.trial_step());
}

}  // namespace amp::doctor
