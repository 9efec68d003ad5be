// What overflows in low precision and not in fp32, and what was not finite before the first step.
#include "src/doctor/loud_fault.h"

#include <algorithm>

#include "src/inspect/words.h"

namespace amp::doctor {
namespace {

std::string name_of_format(c10::ScalarType dtype) {
  return dtype == c10::kHalf ? "fp16" : dtype == c10::kBFloat16 ? "bf16" : "fp32";
}

}  // namespace

void LoudFault::explain_in_low_precision() {
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

std::string LoudFault::place() const {
  const auto& d = file_.result.diagnosis;
  return "step " + std::to_string(step_) + ": " + (d.module.empty() ? "" : d.module + " ") +
         (d.op.empty() ? "an op" : d.op);
}

void LoudFault::drop_advice() {
  auto& d = file_.result.diagnosis;
  const auto advice = "; " + d.remedy;
  if (!d.remedy.empty() && d.sentence.ends_with(advice))
    d.sentence.resize(d.sentence.size() - advice.size());
  d.remedy.clear();
}

void LoudFault::explain_scale() {
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

void LoudFault::explain_ruined_inputs() {
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
  diagnosis.sentence = where + " has no finite value: the " + inspect::shown(constant) + " that " +
                       op + " adds is zero in " + format;
  file_.result.notes.push_back("the least constant that " + format + " keeps is " +
                               (format == "fp16" ? "6e-8, and 6.1e-5 with all its digits"
                                                 : "9.2e-41, and 1.2e-38 with all its digits"));
  file_.result.remedies.push_back({.advice = std::string("use a constant of at least ") +
                                             (format == "fp16" ? "6.1e-5" : "1.2e-38") +
                                             " in the place of " + inspect::shown(constant)});
}

void LoudFault::explain_initial_weights() {
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

void LoudFault::explain_what_the_model_holds() {
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

void LoudFault::explain_low_weights() {
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

}  // namespace amp::doctor
