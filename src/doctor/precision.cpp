// Whether low precision makes a finite training another one than fp32's.
#include <algorithm>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

constexpr std::int64_t kSteps = 20;  // that tell whether weights and averages move

class Precision : public SilentTraining {
 public:
  Precision(CaseFile& file, const Outcome& fp32) : SilentTraining(file), fp32_(fp32) {}

  // Compares gradients with fp32's end to end, from the model's inputs on.
  bool explain() {
    const auto low = file_.play(last(), {.keep_gradients = true});
    if (!low.is_finite()) return false;
    error_ = gradient_error(low.gradients, fp32_.gradients);
    file_.result.trials.push_back(
        {"gradients of the last micro-batch beside fp32's",
         percent(error_.relative) + " apart, most in " + error_.worst_parameter, false});
    if (explain_flushed_gradients()) return true;
    if (explain_stale_values()) return true;
    // Gradients that equal fp32's make no training worse.
    if (error_.relative < suspicious() / 4) return false;
    const bool worse = is_worse_than_fp32(file_);
    if (!worse && (error_.relative < suspicious() || early_error() < suspicious() / 2))
      return false;
    return explain_rounding(file_, fp32_, error_,
                            worse || std::min(error_.relative, early_) > 5 * suspicious(), worse);
  }

 private:
  // Near a minimum updates are small in a healthy training, too, so the first steps are asked as
  // well.
  bool stood_still_early() {
    if (first() == last()) return true;
    const auto [own, fp32] = beside_fp32(first(), kSteps);
    if (!own.is_finite() || !fp32.is_finite()) return true;
    return stuck_weights(own.moves, fp32.moves, fp32.gradients).is_fault() ||
           is_worse_than_fp32(file_);
  }

  // If rounding is a fault, it is one from the start. Near a minimum gradients are small sums of
  // large terms, and rounding takes a large share of them in a healthy training, too.
  double early_error() {
    early_ = error_.relative;
    if (first() == last()) return early_;
    const auto early = beside_fp32(first());
    if (!early.is_finite()) return early_;
    early_ = early.gradients_apart();
    file_.result.trials.push_back({"gradients of the first micro-batch beside fp32's",
                                   percent(early_) + " apart", early_ < suspicious() / 2});
    return early_;
  }
  bool is_half() const { return file_.recipe.compute_dtype == c10::kHalf; }

  bool explain_flushed_gradients() {
    if (!is_half() || error_.relative < 0.2) return false;
    const double scale = file_.evidence.steps.back().loss_scale;
    for (const double factor : {0x1p8, 0x1p14, 0x1p4}) {
      const auto louder =
          file_.play(last(), {.loss_scale = scale * factor, .keep_gradients = true});
      if (!louder.is_finite()) continue;
      const auto error = gradient_error(louder.gradients, fp32_.gradients);
      const bool cures = error.relative < error_.relative / 3;
      file_.result.trials.push_back({"at loss scale " + shown(scale * factor),
                                     "gradients " + percent(error.relative) + " from fp32's",
                                     cures});
      if (!cures) continue;
      conclude(Verdict::underflow, last(), false,
               "gradients are flushed to zero in fp16 at loss scale " + shown(scale) +
                   ": they are " + percent(error_.relative) + " from fp32's, and " +
                   percent(error.relative) + " at " + shown(scale * factor));
      diagnosis().pass = Pass::backward;
      diagnosis().parameter = error_.worst_parameter;
      diagnosis().loss_scale = scale;
      take_flushed_op();
      const bool is_dynamic = file_.recipe.loss_scaling == LossScaling::dynamic;
      file_.result.remedies = {is_dynamic ? with_initial_scale(file_.recipe, scale * factor)
                                          : with_dynamic_scale(file_.recipe),
                               with_scale(file_.recipe, scale * factor), in_bf16(file_.recipe)};
      file_.gradient_fault = {last(), error_.relative};
      return true;
    }
    return false;
  }
  void take_flushed_op() {
    const StepEvidence* worst = nullptr;
    for (const auto& step : file_.evidence.steps) {
      if (step.flushed > 0 && (worst == nullptr || step.flushed > worst->flushed)) worst = &step;
    }
    if (worst == nullptr) return;
    diagnosis().op = worst->flushed_op;
    diagnosis().module = worst->flushed_module;
  }

  // Finds weights and averages in low precision that stand still where fp32's move.
  bool explain_stale_values() {
    const auto [own, fp32] = beside_fp32(last(), kSteps);
    if (!own.is_finite() || !fp32.is_finite()) return false;
    const auto stale = stale_buffer({own.buffers_before, own.buffers},
                                    {fp32.buffers_before, fp32.buffers}, own.low_buffers);
    if (!stale.empty()) {
      conclude(Verdict::precision_loss, last(), false,
               "the buffer " + stale +
                   " stands still, and moves in fp32: small additions to a number "
                   "in low precision are rounded away");
      diagnosis().parameter = stale;
      diagnosis().module = module_of(stale);
      diagnosis().op = "add_";
      file_.result.remedies.push_back({.advice = "keep the buffer " + stale + " in fp32"});
      return true;
    }
    const bool has_low_weights =
        file_.recipe.model_dtype != c10::kFloat && !file_.recipe.master_weights;
    if (!has_low_weights) return false;
    const auto stuck = stuck_weights(own.moves, fp32.moves, fp32.gradients);
    if (!stuck.is_fault() || !stood_still_early()) return false;
    const auto which = stuck.lost < 0.5 ? "the weight " + stuck.parameter + " hardly moves"
                                        : std::string("the weights hardly move");
    conclude(Verdict::precision_loss, last(), false,
             which + ": in 20 steps " + percent(own.weights_still) +
                 " of all numbers stay the same, in fp32 " + percent(fp32.weights_still) +
                 ", and " + percent(stuck.lost) + " of what fp32's steps gain is lost" +
                 "; updates below half an ulp of a weight in low precision are rounded away");
    diagnosis().parameter = stuck.parameter;
    diagnosis().module = module_of(stuck.parameter);
    diagnosis().op = "step";
    file_.result.remedies = {in_low_precision_on_fp32_weights(file_.recipe)};
    return true;
  }

  const Outcome& fp32_;
  GradientError error_;
  double early_ = 0;  // of the first micro-batch
};

}  // namespace

bool explain_precision(CaseFile& file, const Outcome& fp32) {
  return Precision(file, fp32).explain();
}

}  // namespace amp::doctor
