// What went wrong silently: nothing was Inf or NaN, and still the training is not what it should be.
#include <algorithm>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

class Evaluation : public SilentTraining {
 public:
  using SilentTraining::SilentTraining;

  // Looks for a buffer that training only writes and evaluation reads.
  bool explain_buffer(const Outcome& eval) {
    const auto buffer = file_.experiment.non_finite_buffer(last());
    if (buffer.empty() || !eval.is_finite() || eval.losses.empty()) return false;
    conclude(
        Verdict::eval_only, last(), std::nullopt,
        "the buffer " + buffer +
            " holds Inf or NaN, which training does not show; the last micro-batch's loss is " +
            inspect::shown(eval.losses.back()) + " in eval mode and " +
            inspect::shown(losses_.back()) + " in training");
    diagnosis().parameter = buffer;
    diagnosis().module = module_of(buffer);
    file_.result.remedies.push_back(
        {.advice = "keep the buffer " + buffer + " in fp32, and look at what fills it"});
    return true;
  }

  bool explain_eval() {
    Inspector inspector = file_.make_inspector();
    const auto eval = file_.try_out("the last micro-batch in eval mode", last(),
                                    {.eval = true, .inspector = &inspector});
    if (!eval.played || (eval.is_finite() && !explain_buffer(eval))) return false;
    if (eval.is_finite()) return true;
    const auto train = file_.play(last(), {});
    if (!train.is_finite()) return false;
    const auto fp32 =
        file_.try_out("in eval mode in fp32", last(), {.wide = c10::kFloat, .eval = true});
    conclude(Verdict::eval_only, last(), !fp32.is_finite(), "");
    auto& d = diagnosis();
    std::string where = "the loss";
    const auto& steps = inspector.evidence().steps;
    if (!steps.empty() && steps.back().non_finite.has_value()) {
      const auto& fault = *steps.back().non_finite;
      d.op = fault.called_as.empty() ? fault.op : fault.called_as;
      d.module = fault.module;
      where = (d.module.empty() ? "" : d.module + " ") + d.op;
    }
    d.sentence = "training is finite and evaluation is not: in eval mode " + where +
                 " gives Inf or NaN, " + (*d.fp32_too ? "in fp32, too" : "and does not in fp32");
    if (*d.fp32_too) {
      file_.result.remedies.push_back(
          {.advice =
               "look at what only eval mode uses: running statistics of batch norm, or a branch "
               "of is_training()"});
    } else {
      file_.result.remedies = {in_bf16(file_.recipe), in_fp32(file_.recipe)};
      if (!d.op.empty()) {
        auto ops = with_ops_in_fp32(file_.recipe, {d.op});
        file_.result.remedies.insert(file_.result.remedies.begin(), std::move(ops));
      }
    }
    for (auto& remedy : file_.result.remedies) {
      if (!remedy.recipe.has_value()) continue;
      const auto cured = file_.play(last(), {.recipe = remedy.recipe, .eval = true});
      remedy.steps = 1;
      remedy.cures = cured.is_finite();
      remedy.outcome = "in eval mode, " + words_of(cured);
    }
    std::ranges::stable_sort(file_.result.remedies,
                             [](const Remedy& a, const Remedy& b) { return a.cures && !b.cures; });
    return true;
  }
};

// Looks at what TorchScript's own derivatives do once its executor has seen a few calls; a
// recording does not see that.
class Executor : public SilentTraining {
 public:
  using SilentTraining::SilentTraining;

  bool explain() {
    Outcome outcome;
    for (int call = 0; call < 4 && (call == 0 || outcome.is_finite()); ++call)
      outcome = file_.play(last(), {});
    if (outcome.is_finite() || !outcome.played) return false;
    file_.result.trials.push_back(
        {"with TorchScript's optimising executor", words_of(outcome), false});
    conclude(
        Verdict::model_nan, last(), true,
        "the script goes wrong only with TorchScript's optimising executor, whose derivatives are "
        "its own: " +
            words_of(outcome));
    diagnosis().pass = Pass::backward;
    file_.result.remedies.push_back(
        {.advice = "run it without: torch::jit::setGraphExecutorOptimize(false)",
         .code = "torch::jit::setGraphExecutorOptimize(false);"});
    return true;
  }
};

}  // namespace

void explain_silence(CaseFile& file) {
  Evaluation evaluation(file);
  if (!evaluation.is_known()) return;
  const auto steps = file.experiment.steps();
  bool found = (file.is_script && Executor(file).explain()) || evaluation.explain_eval();
  if (!found) {
    const auto fp32 = file.play(steps.back(), {.wide = c10::kFloat, .keep_gradients = true});
    if (!fp32.is_finite()) return;
    if (const auto& missing = fp32.without_gradient; !missing.empty())
      file.result.notes.push_back(std::to_string(missing.size()) + " of " +
                                  std::to_string(missing.size() + fp32.gradients.size()) +
                                  " parameters got no gradient, " + missing.front() + " for one");
    found = (file.has_low_precision() && explain_precision(file, fp32)) ||
            explain_standstill(file, fp32);
  }
  if (found && file.result.diagnosis.verdict != Verdict::eval_only)
    try_remedies(file, steps.front());
}

}  // namespace amp::doctor
