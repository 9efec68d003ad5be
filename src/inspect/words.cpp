// A diagnosis in words.
#include "src/inspect/words.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "amp/precision/format.h"

namespace amp::inspect {
namespace {

// The largest power of two that is at most this.
double power_of_two(double value) { return std::exp2(std::floor(std::log2(value))); }

std::string place_of(const Diagnosis& diagnosis) {
  std::string place = "step " + std::to_string(diagnosis.step) + ": ";
  if (!diagnosis.module.empty()) place += diagnosis.module + " ";
  return place + (diagnosis.op.empty() ? "an op" : diagnosis.op);
}

std::string in_pass(const Diagnosis& diagnosis) {
  return diagnosis.pass == Pass::forward ? "in the forward pass" : "in the backward pass";
}

std::string range_of(const std::string& dtype) {
  return dtype + " (max " + shown(largest(dtype)) + ")";
}

bool mentions(const std::string& op, const char* part) {
  return op.find(part) != std::string::npos;
}

std::string remedy_of_nan(const FirstNonFinite& fault) {
  const auto op = fault.called_as + " " + fault.op;
  if (mentions(op, "softmax")) return "leave one entry of each row unmasked";
  if (mentions(op, "nll_loss") || mentions(op, "cross_entropy_loss"))
    return "skip micro-batches of which every target is ignored, whose mean is 0/0, and keep Inf "
           "out of "
           "its input";
  if (mentions(op, "log") || mentions(op, "entropy"))
    return "keep its input above 0: log(clamp_min(x, eps))";
  if (mentions(op, "sqrt")) return "add an epsilon inside: sqrt(x + eps)";
  if (mentions(op, "norm") || mentions(op, "std") || mentions(op, "var"))
    return "add an epsilon: its derivative has no value at 0";
  if (mentions(op, "pow")) return "keep its base away from 0: pow(x + eps, y)";
  if (mentions(op, "div") || mentions(op, "reciprocal")) return "add an epsilon to the divisor";
  if (mentions(op, "acos") || mentions(op, "asin") || mentions(op, "atanh"))
    return "clamp its input to the open interval (-1, 1)";
  return "keep its input where it has a finite value";
}

void describe_forward(Diagnosis& d, const FirstNonFinite& fault) {
  if (fault.origin == FirstNonFinite::Origin::gradient) {
    d.remedy = "record the step with InspectLevel::full to see the op";
    d.sentence =
        "step " + std::to_string(d.step) +
        ": the loss was not finite, so an op of the forward pass overflowed; the loss scale is "
        "not the cause; " +
        d.remedy;
    return;
  }
  const bool narrow = fault.dtype == "fp16";
  d.remedy = narrow ? "keep this op in fp32 or use bf16"
                    : "bound its input, or compute it in a form that does not overflow";
  const auto what = fault.in_cast ? "'s input reached " : "'s result reached ";
  d.sentence = place_of(d) + what + shown(d.amax) + " in " + range_of(fault.dtype) + " " +
               in_pass(d) + "; the loss scale is not the cause" +
               (d.pass == Pass::backward ? ", the gradient is too large without it; " : "; ") +
               d.remedy;
}

void describe_scale(Diagnosis& d, const FirstNonFinite& fault, bool dynamic_scaling) {
  if (dynamic_scaling) {
    d.remedy = "none is needed while it is rare: the scaler skips the step and halves the scale";
  } else {
    const double room = largest(fault.dtype.empty() ? "fp16" : fault.dtype) * d.loss_scale /
                        std::max(d.amax, 1e-30) / 2;
    d.remedy = "use dynamic loss scaling";
    if (d.amax > 0 && std::isfinite(room) && room >= 1 && room < d.loss_scale)
      d.remedy += " or a scale of at most " + shown(power_of_two(room));
  }
  if (fault.origin == FirstNonFinite::Origin::gradient) {
    d.sentence = "step " + std::to_string(d.step) + ": the gradient of " + d.parameter +
                 " was not finite at loss scale " + shown(d.loss_scale) + "; " + d.remedy;
    return;
  }
  d.sentence = place_of(d) + "'s gradient reached " + shown(d.amax) + " in " +
               range_of(fault.dtype) + " in the backward pass at loss scale " +
               shown(d.loss_scale) + ", and would fit without it; " + d.remedy;
}

void describe_nan(Diagnosis& d, const FirstNonFinite& fault) {
  if (fault.origin == FirstNonFinite::Origin::gradient) {
    d.remedy = "record the step with InspectLevel::full to see the op";
    d.sentence = "step " + std::to_string(d.step) + ": the gradient of " + d.parameter +
                 " was not finite without a loss scale; " + d.remedy;
    return;
  }
  d.remedy = remedy_of_nan(fault);
  d.sentence = place_of(d) + (d.pass == Pass::forward ? "" : "'s derivative") +
               " has no finite value for its input, in no format, " + in_pass(d) + "; " + d.remedy;
}

void describe_data(Diagnosis& d, const FirstNonFinite& fault) {
  if (fault.origin == FirstNonFinite::Origin::target) {
    d.remedy = "correct the data, or the number of classes or rows of the model";
    d.sentence = "step " + std::to_string(d.step) +
                 ": a target or an index is out of range: " + fault.detail + "; " + d.remedy;
    return;
  }
  d.remedy = "drop or mend the batch";
  d.sentence = place_of(d) + " was given data that holds " + fault.detail + "; " + d.remedy;
}

void describe_divergence(Diagnosis& d, const FirstNonFinite& fault, const Growth& growth) {
  d.remedy = "lower the learning rate, warm it up, or clip the gradients";
  d.sentence = "step " + std::to_string(d.step) + ": ";
  if (fault.origin == FirstNonFinite::Origin::parameter) {
    d.sentence +=
        "the weight " + d.parameter + " held " + fault.detail + " before the step began; ";
  } else {
    d.sentence += "the training diverges: ";
    if (growth.loss >= 3)
      d.sentence +=
          "the loss grew " + shown(growth.loss) + "-fold to " + shown(growth.last_loss) + "; ";
    if (growth.weight >= 3)
      d.sentence += "the largest weight grew " + shown(growth.weight) + "-fold to " +
                    shown(growth.last_weight) + "; ";
  }
  d.sentence += d.remedy;
}

}  // namespace

double largest(const std::string& dtype) {
  for (const auto format :
       {Format::fp32, Format::tf32, Format::bf16, Format::fp16, Format::e4m3, Format::e5m2}) {
    if (dtype == format_name(format)) return format_info(format).max_finite;
  }
  return std::numeric_limits<double>::infinity();
}

double amax_of(const FirstNonFinite& fault) {
  if (fault.in_cast || !fault.evaluated || !fault.finite_in_wide)
    return std::max(fault.input_amax, fault.evaluated ? fault.wide_amax : 0);
  return fault.wide_amax;
}

std::string shown(double value) {
  char text[32];
  const double size = std::abs(value);
  if (size != 0 && (size >= 1e6 || size < 1e-3)) {
    const int exponent = static_cast<int>(std::floor(std::log10(size)));
    std::snprintf(text, sizeof text, "%.1fe%d", value / std::pow(10.0, exponent), exponent);
  } else if (value == std::floor(value) || size >= 1e4) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.4g", value);
  }
  return text;
}

void describe(Diagnosis& diagnosis, const FirstNonFinite& fault, const Growth& growth,
              bool dynamic_scaling) {
  switch (diagnosis.verdict) {
    case Verdict::forward_overflow:
      return describe_forward(diagnosis, fault);
    case Verdict::scale_overflow:
      return describe_scale(diagnosis, fault, dynamic_scaling);
    case Verdict::model_nan:
      return describe_nan(diagnosis, fault);
    case Verdict::bad_data:
      return describe_data(diagnosis, fault);
    case Verdict::divergence:
      return describe_divergence(diagnosis, fault, growth);
    case Verdict::clean:
    case Verdict::underflow:
    case Verdict::throws:
    case Verdict::precision_loss:
    case Verdict::flushed_constant:
    case Verdict::vanishing:
    case Verdict::not_learning:
    case Verdict::eval_only:
      return;
  }
}

void describe_underflow(Diagnosis& d, const StepEvidence& step) {
  char percent[16];
  std::snprintf(percent, sizeof percent, "%.0f %%", 100 * step.flushed);
  const double reached = std::max(step.backward_amax.value_or(d.amax), 1e-30);
  const double scale = power_of_two(largest("fp16") / 4 * d.loss_scale / reached);
  d.remedy = "use dynamic loss scaling, or a scale of " + shown(std::min(scale, 65536.0 * 256));
  d.sentence = place_of(d) + ": " + percent +
               " of its gradients are zero in fp16 and not in fp32, at loss scale " +
               shown(d.loss_scale) + "; the scale is too small: " + d.remedy;
}

void describe_clean(Diagnosis& d, const Evidence& evidence) {
  const auto& steps = evidence.steps;
  const auto skipped = std::ranges::count_if(
      steps, [](const auto& step) { return step.skipped || step.non_finite.has_value(); });
  d.sentence = "nothing is wrong in " + std::to_string(steps.size()) +
               (steps.size() == 1 ? " step" : " steps");
  if (skipped > 0)
    d.sentence += "; " + std::to_string(skipped) +
                  (skipped == 1 ? " overflowed at its loss scale and was"
                                : " overflowed at their loss scales and were") +
                  " skipped, which is what a dynamic scale does";
}

}  // namespace amp::inspect
