// The verdict on a training.
#include <algorithm>
#include <cmath>
#include <optional>

#include "amp/inspect/diagnosis.h"
#include "amp/precision/format.h"
#include "src/inspect/growth.h"
#include "src/inspect/words.h"

namespace amp {
namespace inspect {
namespace {

// If fp16 flushes at least this share of an op's gradients, and the scale has room to grow by this
// factor, the scale is the fault. In a training that goes well the share is a few percent.
constexpr double kFlushed = 0.3;
constexpr double kRoom = 16;

// A dynamic scale overflows now and then by design: at the start, until it has found its size, and
// when it grows.
constexpr double kRare = 0.1;

bool is_wrong(const StepEvidence& step) { return step.non_finite.has_value(); }

Diagnosis diagnosis_of(const StepEvidence& step, const Thrown& thrown) {
  Diagnosis diagnosis;
  const bool overflows = thrown.kind == Thrown::Kind::overflow;
  diagnosis.verdict = overflows ? Verdict::forward_overflow : Verdict::throws;
  diagnosis.step = step.step;
  diagnosis.pass = thrown.pass;
  diagnosis.op = thrown.called_as.empty() ? thrown.op : thrown.called_as;
  diagnosis.module = thrown.module;
  diagnosis.amax = overflows ? std::abs(thrown.value) : std::nan("");
  diagnosis.loss_scale = step.loss_scale;
  diagnosis.remedy = remedy_of(thrown);
  diagnosis.sentence =
      "step " + std::to_string(step.step) + ": " + sentence_of(thrown) + "; " + diagnosis.remedy;
  return diagnosis;
}

// The verdict on one fault, by what was seen in its step and before it.
Verdict verdict_on(const StepEvidence& step, const FirstNonFinite& fault, const Growth& growth) {
  using Origin = FirstNonFinite::Origin;
  switch (fault.origin) {
    case Origin::data:
    case Origin::target:
      return Verdict::bad_data;
    case Origin::parameter:
      return Verdict::divergence;
    case Origin::gradient:
      if (growth.explains_overflow()) return Verdict::divergence;
      if (step.loss.has_value() && !std::isfinite(*step.loss)) return Verdict::forward_overflow;
      return fault.loss_scale > 1 ? Verdict::scale_overflow : Verdict::model_nan;
    case Origin::op:
      break;
  }
  const bool born_in_any_format = fault.evaluated && !fault.finite_in_wide;
  if (born_in_any_format) return Verdict::model_nan;
  if (growth.explains_overflow()) return Verdict::divergence;
  if (fault.is_loss_scaling) return Verdict::scale_overflow;
  if (fault.pass == Pass::forward) return Verdict::forward_overflow;
  const double unscaled = amax_of(fault) / fault.loss_scale;
  const bool fits = unscaled <= largest(fault.dtype);
  return fits && fault.loss_scale > 1 ? Verdict::scale_overflow : Verdict::forward_overflow;
}

Diagnosis diagnosis_of(Verdict verdict, const FirstNonFinite& fault) {
  Diagnosis diagnosis;
  diagnosis.verdict = verdict;
  diagnosis.step = fault.step;
  diagnosis.pass = fault.pass;
  diagnosis.op = fault.called_as.empty() ? fault.op : fault.called_as;
  diagnosis.module = fault.module;
  diagnosis.parameter = fault.parameter;
  diagnosis.place = fault.place;
  diagnosis.amax = amax_of(fault);
  diagnosis.loss_scale = fault.loss_scale;
  return diagnosis;
}

// Whether the overflows of a dynamic scale were rare and are over; those of its first descent do
// not count.
bool went_by(const Evidence& evidence) {
  const auto& steps = evidence.steps;
  if (!evidence.dynamic_scaling || is_wrong(steps.back())) return false;
  auto step = std::ranges::find_if(steps, is_wrong);
  step = std::find_if_not(step, steps.end(), is_wrong);
  const auto later = std::count_if(step, steps.end(), is_wrong);
  return static_cast<double>(later) <= kRare * static_cast<double>(steps.size());
}

// The fault in a step that was not finite, unless the overflow is a dynamic scale's normal work.
std::optional<Diagnosis> fault_in(const Evidence& evidence, std::size_t i) {
  const auto& step = evidence.steps[i];
  if (!is_wrong(step)) return std::nullopt;
  const auto& fault = *step.non_finite;
  const auto growth = growth_until(evidence, i);
  const auto verdict = verdict_on(step, fault, growth);
  if (verdict == Verdict::scale_overflow && went_by(evidence)) return std::nullopt;
  auto diagnosis = diagnosis_of(verdict, fault);
  describe(diagnosis, fault, growth, evidence.dynamic_scaling);
  return diagnosis;
}

std::optional<Diagnosis> underflow_in(const Evidence& evidence) {
  std::int64_t looked = 0, flushed = 0;
  const StepEvidence* worst = nullptr;
  for (const auto& step : evidence.steps) {
    if (step.flushed <= 0) continue;
    ++looked;
    const double room = largest("fp16") / std::max(step.backward_amax.value_or(0), 1e-30);
    if (step.flushed < kFlushed || room < kRoom) continue;
    ++flushed;
    if (worst == nullptr || step.flushed > worst->flushed) worst = &step;
  }
  if (worst == nullptr || 2 * flushed <= looked) return std::nullopt;
  Diagnosis diagnosis;
  diagnosis.verdict = Verdict::underflow;
  diagnosis.step = worst->step;
  diagnosis.pass = Pass::backward;
  diagnosis.op = worst->flushed_op;
  diagnosis.module = worst->flushed_module;
  diagnosis.amax = worst->flushed_amax;
  diagnosis.loss_scale = worst->loss_scale;
  describe_underflow(diagnosis, *worst);
  return diagnosis;
}

}  // namespace
}  // namespace inspect

const char* pass_name(Pass pass) { return pass == Pass::forward ? "forward" : "backward"; }

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::clean:
      return "clean";
    case Verdict::forward_overflow:
      return "forward_overflow";
    case Verdict::scale_overflow:
      return "scale_overflow";
    case Verdict::underflow:
      return "underflow";
    case Verdict::model_nan:
      return "model_nan";
    case Verdict::bad_data:
      return "bad_data";
    case Verdict::divergence:
      return "divergence";
    case Verdict::throws:
      return "throws";
    case Verdict::precision_loss:
      return "precision_loss";
    case Verdict::flushed_constant:
      return "flushed_constant";
    case Verdict::vanishing:
      return "vanishing";
    case Verdict::not_learning:
      return "not_learning";
    case Verdict::eval_only:
      return "eval_only";
  }
  return "clean";
}

Diagnosis diagnose(const Evidence& evidence) {
  using namespace inspect;
  const auto& steps = evidence.steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (auto diagnosis = fault_in(evidence, i)) return *diagnosis;
    if (steps[i].thrown.has_value()) return diagnosis_of(steps[i], *steps[i].thrown);
  }
  const auto growth = steps.empty() ? Growth() : growth_until(evidence, steps.size());
  if (growth.is_divergence()) {
    Diagnosis diagnosis;
    diagnosis.verdict = Verdict::divergence;
    diagnosis.step = steps.back().step;
    diagnosis.loss_scale = steps.back().loss_scale;
    diagnosis.amax = growth.weight >= growth.loss ? growth.last_weight : growth.last_loss;
    describe(diagnosis, {}, growth, evidence.dynamic_scaling);
    return diagnosis;
  }
  if (auto found = underflow_in(evidence)) return *found;
  Diagnosis clean;
  if (!steps.empty()) clean.loss_scale = steps.back().loss_scale;
  describe_clean(clean, evidence);
  return clean;
}

}  // namespace amp
