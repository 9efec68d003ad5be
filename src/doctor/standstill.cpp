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
    // A rate that is far too large may throw the first loss up at once.
    const double start = std::min(losses_.front(), mean_of(losses_, 0, 3));
    const double end = late_mean(losses_), rise = end - start;
    if (!(rise > std::max(std::abs(start), 1e-3))) return false;
    const auto steps = std::min<std::int64_t>(count_from_first(), 200);
    const auto before = file_.result.replays;
    const auto slow =
        file_.try_out(std::to_string(steps) + " steps with a tenth of the learning rate", first(),
                      {.learning_rate = 0.1, .steps = steps},
                      [&](const Outcome& o) { return late_mean(o.losses) - start < rise / 3; });
    file_.result.replays = before + 1;
    if (!slow.is_finite() || late_mean(slow.losses) - start >= rise / 3) return false;
    const bool is_fp32 = !file_.has_low_precision();
    // fp32 need not grow as far to count.
    const auto grows_in_fp32 = [&](const std::vector<double>& losses) {
      const double floor = std::max(std::abs(start), 1e-3);
      const double fp32_rise = late_mean(losses) - start;
      return fp32_rise > floor && fp32_rise > std::min(rise / 3, 10 * floor);
    };
    bool fp32_too = is_fp32;
    if (const auto& reference = file_.reference;
        !is_fp32 && reference.has_value() && !reference->losses.empty()) {
      fp32_too = reference->failed || grows_in_fp32(reference->losses);
      file_.result.trials.push_back(
          {"the same training in fp32",
           reference->failed ? "goes wrong, too" : "loss to " + shown(late_mean(reference->losses)),
           !fp32_too});
    } else if (!is_fp32) {
      const auto fp32 = file_.try_out(
          std::to_string(steps) + " steps in fp32", first(), {.wide = c10::kFloat, .steps = steps},
          [&](const Outcome& o) { return late_mean(o.losses) - start < rise / 3; });
      file_.result.replays = before + 2;
      fp32_too = !fp32.is_finite() || grows_in_fp32(fp32.losses);
    }
    conclude(Verdict::divergence, file_.evidence.steps.back().step, fp32_too,
             std::string("the training diverges") + (fp32_too ? ", in fp32 too" : "") +
                 ": the loss went from " + shown(start) + " to " + shown(end) +
                 "; with a tenth of the learning rate to " + shown(late_mean(slow.losses)));
    file_.result.remedies = {with_learning_rate(0.1), with_clipping(file_.recipe, 1)};
    return true;
  }

  // Nothing is learned. A model that learns at all can learn one micro-batch by heart.
  void explain_no_progress() {
    if (losses_.size() < 20) return;
    if (const double zero = std::abs(losses_.front()); zero == 0 && late_mean(losses_) == 0) {
      conclude(Verdict::not_learning, 1, true, "the loss is exactly 0 in every step, in fp32 too");
      file_.result.remedies.push_back(
          {.advice = "look at how the loss is computed, unless the model fits its data exactly"});
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
    const auto by_heart = [&](double rate, const std::string& what) {
      return file_.try_out(
          what, last(),
          {.wide = c10::kFloat, .learning_rate = rate, .steps = 40, .same_batch = true}, learns);
    };
    const auto usual = by_heart(1, "40 steps on one micro-batch in fp32");
    file_.result.replays = before + 1;
    if (learns(usual)) {
      explain_few_trained(end);
      if (diagnosis().verdict == Verdict::clean && !falls_steadily())
        file_.result.notes.push_back("the loss does not fall in " + std::to_string(losses_.size()) +
                                     " steps, in fp32 either, though a single micro-batch can be "
                                     "learned by heart: do inputs and targets "
                                     "belong together?");
      return;
    }
    // A rate may be too small by orders of magnitude.
    double factor = 30;
    auto fast = usual;
    for (; factor < 1e10; factor *= 30) {
      fast = by_heart(factor, "the same with " + shown(factor) + " times the learning rate");
      if (!fast.is_finite() || learns(fast)) break;
    }
    file_.result.replays = before + 2;
    if (falls_steadily() && !learns(fast)) return;  // to a floor that is large
    conclude(Verdict::not_learning, last(), true,
             "nothing is learned, in fp32 either: the loss stays at " + shown(end) +
                 ", and does not fall on a single micro-batch in 40 steps");
    if (learns(fast)) {
      diagnosis().sentence += "; with " + shown(factor) + " times the learning rate it does";
      file_.result.remedies = {with_learning_rate(factor)};
    } else {
      file_.result.remedies.push_back(
          {.advice = "look at the initialisation, dead units and weight decay"});
    }
  }
  // If little is trained, it may learn one micro-batch by heart, and no more.
  void explain_few_trained(double end) {
    const auto [trained, all] = file_.experiment.trained_numbers();
    if (static_cast<double>(trained) > 0.05 * static_cast<double>(all)) return;
    conclude(Verdict::not_learning, last(), true,
             "nothing is learned, in fp32 either: only " + std::to_string(trained) + " of " +
                 std::to_string(all) +
                 " numbers in the parameters require a gradient, and the loss stays at " +
                 shown(end));
    file_.result.remedies.push_back(
        {.advice = "train more of the parameters: set_requires_grad(true)"});
  }

  bool explain_vanishing(double end) {
    const auto vanished = vanished_parameters(fp32_.gradients);
    if (vanished.share <= 0.3) return false;
    const auto early = file_.play(first(), {.wide = c10::kFloat, .keep_gradients = true});
    if (vanished_parameters(early.gradients).share <= 0.3) return false;
    if (vanished.ratio == 0 && falls_steadily()) return false;
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

  // Whether the loss falls by many times the scatter of its last values, however large a constant
  // in it is.
  bool falls_steadily() const {
    const auto begin = losses_.size() - losses_.size() / 4;
    const double center = mean_of(losses_, begin, losses_.size());
    double squares = 0;
    for (auto i = begin; i < losses_.size(); ++i)
      squares += (losses_[i] - center) * (losses_[i] - center);
    const double scatter =
        std::sqrt(squares / std::max<double>(1, static_cast<double>(losses_.size() - begin)));
    return losses_.front() - center > 8 * scatter;
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
