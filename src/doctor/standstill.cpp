// Whether the loss grows, or nothing is learned.
#include <algorithm>
#include <cmath>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

double mean_of(const std::vector<double>& values, std::size_t begin, std::size_t end) {
  double sum = 0;
  for (auto i = begin; i < end; ++i) sum += values[i];
  return end > begin ? sum / static_cast<double>(end - begin) : std::nan("");
}

class Standstill : public SilentTraining {
 public:
  Standstill(CaseFile& file, const Outcome& fp32) : SilentTraining(file), fp32_(fp32) {}

  bool explain() {
    if (!explain_growth()) explain_no_progress();
    return diagnosis().verdict != Verdict::clean;
  }

 private:
  // The loss is larger than at the start, and smaller with a smaller learning rate.
  bool explain_growth() {
    if (losses_.size() < 10) return false;
    const double start = mean_of(losses_, 0, 3), end = late_mean(losses_);
    const double rise = end - start;
    if (!(rise > std::max(std::abs(start), 1e-3))) return false;
    const auto steps = std::min<std::int64_t>(count_from_first(), 100);
    const auto before = file_.result.replays;
    const auto slow =
        file_.try_out(std::to_string(steps) + " steps with a tenth of the learning rate", first(),
                      {.learning_rate = 0.1, .steps = steps},
                      [&](const Outcome& o) { return late_mean(o.losses) - start < rise / 3; });
    file_.result.replays = before + 1;
    if (!slow.is_finite() || late_mean(slow.losses) - start >= rise / 3) return false;
    const bool is_fp32 = file_.computes_in_fp32();
    bool fp32_too = is_fp32;
    if (!is_fp32) {
      const auto fp32 = file_.try_out(
          std::to_string(steps) + " steps in fp32", first(), {.wide = c10::kFloat, .steps = steps},
          [&](const Outcome& o) { return late_mean(o.losses) - start < rise / 3; });
      file_.result.replays = before + 2;
      fp32_too = !fp32.is_finite() || late_mean(fp32.losses) - start >= rise / 3;
    }
    conclude(Verdict::divergence, file_.evidence.steps.back().step, fp32_too,
             std::string("the training diverges") + (fp32_too ? ", in fp32 too" : "") +
                 ": the loss went from " + shown(start) + " to " + shown(end) +
                 "; with a tenth of the learning rate to " + shown(late_mean(slow.losses)));
    file_.result.remedies = {with_learning_rate(0.1), with_clipping(file_.recipe, 1)};
    return true;
  }

  // Nothing is learned, although one micro-batch alone can be learned by heart by a model that learns.
  void explain_no_progress() {
    if (losses_.size() < 20) return;
    if (const double zero = std::abs(losses_.front()); zero == 0 && late_mean(losses_) == 0) {
      conclude(Verdict::not_learning, 1, true, "the loss is exactly 0 in every step, in fp32 too");
      file_.result.remedies.push_back(
          {.advice = "look at how the loss is computed: nothing depends on it"});
      return;
    }
    const double start = mean_of(losses_, 0, 3), end = late_mean(losses_);
    if (start - end > 0.5 * std::abs(start)) return;  // it learns
    if (explain_vanishing(end) || explain_shrinking(start, end)) return;
    if (start - end > 0.05 * std::abs(start)) return;
    if (fp32_.gradient_norm == 0) {
      conclude(
          Verdict::not_learning, last(), true,
          "every gradient is zero, in fp32 too: the loss does not depend on the weights, or all "
          "units are dead");
      file_.result.remedies.push_back(
          {.advice = "look for units that are never active, a detach(), or a factor of 0"});
      return;
    }
    const auto before = file_.result.replays;
    const auto by_heart = [&](double rate, const char* what) {
      return file_.try_out(
          what, last(),
          {.wide = c10::kFloat, .learning_rate = rate, .steps = 40, .same_batch = true}, learns);
    };
    const auto usual = by_heart(1, "40 steps on one micro-batch in fp32");
    const auto fast =
        learns(usual) ? usual : by_heart(30, "the same with 30 times the learning rate");
    file_.result.replays = before + 2;
    if (learns(usual)) return;
    conclude(Verdict::not_learning, last(), true,
             "nothing is learned, in fp32 either: the loss stays at " + shown(end) +
                 ", and does not fall on a single micro-batch in 40 steps");
    if (learns(fast)) {
      diagnosis().sentence += "; with 30 times the learning rate it does";
      file_.result.remedies = {with_learning_rate(30)};
    } else {
      file_.result.remedies.push_back(
          {.advice = "look at the initialisation, dead units and weight decay"});
    }
  }
  bool explain_vanishing(double end) {
    const auto vanished = vanished_parameters(fp32_.gradients);
    if (vanished.share <= 0.3) return false;
    const auto early = file_.play(first(), {.wide = c10::kFloat, .keep_gradients = true});
    if (vanished_parameters(early.gradients).share <= 0.3) return false;
    if (vanished.ratio == 0) {
      conclude(Verdict::not_learning, last(), true,
               "the gradient of " + vanished.smallest + " is exactly 0, in fp32 too" +
                   (vanished.share == 1 ? ", and so is every weight matrix's" : "") +
                   ": units are dead, or nothing depends on it; the loss stays at " + shown(end));
      diagnosis().parameter = vanished.smallest;
      diagnosis().module = module_of(vanished.smallest);
      file_.result.remedies.push_back(
          {.advice = "look for units that are never active (a lower learning rate, another "
                     "initialisation, GELU), a detach(), or a factor of 0"});
      return true;
    }
    conclude(Verdict::vanishing, last(), true,
             "gradients vanish on their way to the first layers, in fp32 too: that of " +
                 vanished.smallest + " is " + shown(vanished.ratio) + " of that of " +
                 vanished.largest + ", and the loss stays at " + shown(end));
    diagnosis().parameter = vanished.smallest;
    diagnosis().module = module_of(vanished.smallest);
    diagnosis().pass = Pass::backward;
    file_.result.remedies.push_back(
        {.advice =
             "use ReLU or GELU, residual connections or normalisation, or another initialisation"});
    return true;
  }

  // The weights go to zero, and the loss is no longer what it was.
  bool explain_shrinking(double start, double end) {
    const auto& steps = file_.evidence.steps;
    const auto amax = [](const StepEvidence& step) { return step.weight_amax.value_or(0); };
    if (!(amax(steps.back()) < 0.2 * amax(steps.front()))) return false;
    const double best = *std::ranges::min_element(losses_);
    if (end < 0.9 * start && end < best + 0.1 * std::abs(start)) return false;
    conclude(Verdict::not_learning, last(), true,
             "the weights shrink, the largest from " + shown(amax(steps.front())) + " to " +
                 shown(amax(steps.back())) + ", and the loss stays at " + shown(end) +
                 ", in fp32 too");
    file_.result.remedies.push_back({.advice = "lower the weight decay"});
    return true;
  }

  static bool learns(const Outcome& outcome) {
    return outcome.is_finite() && outcome.losses.size() > 1 &&
           outcome.losses.front() - late_mean(outcome.losses) >
               0.005 * std::abs(outcome.losses.front());
  }

  const Outcome& fp32_;
};

}  // namespace

bool explain_standstill(CaseFile& file, const Outcome& fp32) {
  return Standstill(file, fp32).explain();
}

}  // namespace amp::doctor
