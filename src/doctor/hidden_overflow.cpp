// An overflow that neither the loss nor a gradient shows: something was divided by Inf, or nan_to_num took it away.
#include <algorithm>
#include <set>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

class HiddenOverflow : public SilentTraining {
 public:
  using SilentTraining::SilentTraining;

  // Tries the first step of each of the first ops that overflowed, if its state is kept.
  bool explain() {
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto& step : file_.evidence.steps) {
      if (!step.hidden_overflow.has_value() || seen.size() == 2) continue;
      const auto& fault = *step.hidden_overflow;
      if (std::ranges::find(steps_, step.step) == steps_.end()) continue;
      if (!seen.insert({fault.op, fault.module}).second) continue;
      if (is_harmful(step.step)) return conclude_on(step, fault);
    }
    return false;
  }

 private:
  // The gradients decide: without the Inf they would be different.
  bool is_harmful(std::int64_t step) {
    const auto own = finite_replay(step);
    const auto fp32 = file_.play(step, {.wide = c10::kFloat, .keep_gradients = true});
    if (!own.is_finite() || !fp32.is_finite()) return false;
    error_ = gradient_error(own.gradients, fp32.gradients);
    file_.result.trials.push_back(
        {"gradients of step " + std::to_string(step) + " beside fp32's",
         percent(error_.relative) + " apart, most in " + error_.worst_parameter,
         error_.relative <= suspicious()});
    return error_.relative > suspicious();
  }

  // Plays at the step's loss scale, or at the next lower one that does not overflow.
  Outcome finite_replay(std::int64_t step) {
    auto outcome = file_.play(step, {.keep_gradients = true});
    for (double by = 0x1p-4; file_.is_scaled() && !outcome.finite_gradients && by > 0x1p-24;
         by *= 0x1p-4)
      outcome = file_.play(step, {.loss_scale = file_.evidence.steps.front().loss_scale * by,
                                  .keep_gradients = true});
    return outcome;
  }

  bool conclude_on(const StepEvidence& step, const FirstNonFinite& fault) {
    auto ops = std::vector{fault.called_as.empty() ? fault.op : fault.called_as};
    conclude(Verdict::forward_overflow, step.step, false, "");
    auto& d = diagnosis();
    d.op = ops.front();
    d.module = fault.module;
    d.place = fault.place;
    d.parameter = error_.worst_parameter;
    d.amax = fault.wide_amax;
    d.loss_scale = step.loss_scale;
    d.sentence = "step " + std::to_string(step.step) + ": " +
                 (d.module.empty() ? "" : d.module + " ") + d.op + " overflowed " + fault.dtype +
                 ", where its result would be " + shown(d.amax) +
                 "; the loss stays finite, and gradients are " + percent(error_.relative) +
                 " from fp32's (most in " + error_.worst_parameter + ")";
    auto& remedies = file_.result.remedies;
    if (file_.computes_in_fp32()) {
      remedies.push_back(
          {.advice = "leave out the model's own cast to low precision before " + d.op});
      return true;
    }
    remedies.push_back(with_ops_in_fp32(file_.recipe, ops));
    if (!d.module.empty()) remedies.push_back(with_module_in_fp32(file_.recipe, d.module));
    if (file_.recipe.compute_dtype == c10::kHalf) remedies.push_back(in_bf16(file_.recipe));
    remedies.push_back(in_fp32(file_.recipe));
    file_.gradient_fault = {step.step, error_.relative};
    try_remedies(file_, step.step);
    return true;
  }

  GradientError error_;
};

}  // namespace

bool explain_hidden_overflow(CaseFile& file) { return HiddenOverflow(file).explain(); }

}  // namespace amp::doctor
