// What went wrong silently: nothing was Inf or NaN, and still the training is not what it should be.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "src/doctor/case_file.h"
#include "src/doctor/gradient_error.h"
#include "src/inspect/words.h"

namespace amp::doctor {
namespace {

using inspect::shown;

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, share < 0.1 ? "%.1f %%" : "%.0f %%", 100 * share);
  return text;
}

double mean_of(const std::vector<double>& values, std::size_t begin, std::size_t end) {
  double sum = 0;
  for (auto i = begin; i < end; ++i) sum += values[i];
  return end > begin ? sum / static_cast<double>(end - begin) : std::nan("");
}

class Silence {
 public:
  explicit Silence(CaseFile& file) : file_(file), steps_(file.experiment.steps()) {
    for (const auto& step : file.evidence.steps) {
      if (step.loss.has_value()) losses_.push_back(*step.loss);
    }
  }

  void explain() {
    if (steps_.empty() || losses_.empty()) return;
    if (explain_eval()) return;
    fp32_ = file_.play(last(), {.wide = c10::kFloat, .keep_gradients = true});
    if (!fp32_.is_finite()) return;
    if (!file_.computes_in_fp32() && explain_precision()) return;
    if (explain_growth()) return;
    explain_standstill();
  }

 private:
  std::int64_t first() const { return steps_.front(); }
  std::int64_t last() const { return steps_.back(); }
  Diagnosis& diagnosis() { return file_.result.diagnosis; }

  void conclude(Verdict verdict, std::int64_t step, std::optional<bool> fp32_too,
                const std::string& sentence) {
    auto& d = diagnosis();
    d.verdict = verdict;
    d.step = step;
    d.fp32_too = fp32_too;
    d.sentence = sentence;
  }

  bool explain_eval() {
    Inspector inspector = file_.make_inspector();
    const auto eval = file_.try_out("the last micro-batch in eval mode", last(),
                                    {.eval = true, .inspector = &inspector});
    if (!eval.played || eval.is_finite()) return false;
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
    return true;
  }

  // Gradients end to end, from the model's inputs, beside fp32's.
  bool explain_precision() {
    const auto low = file_.play(last(), {.keep_gradients = true});
    if (!low.is_finite()) return false;
    error_ = gradient_error(low.gradients, fp32_.gradients);
    file_.result.trials.push_back(
        {"gradients of the last micro-batch beside fp32's",
         percent(error_.relative) + " apart, most in " + error_.worst_parameter, false});
    if (explain_flushed_gradients()) return true;
    if (explain_stale_values()) return true;
    const bool worse = is_worse_than_reference();
    if (error_.relative < suspicious() && !worse) return false;
    return explain_rounding(worse);
  }

  // More than a healthy model's products bring about.
  double suspicious() const { return is_half() ? 0.02 : 0.08; }
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
      file_.result.remedies = {with_dynamic_scale(file_.recipe),
                               with_scale(file_.recipe, scale * factor), in_bf16(file_.recipe)};
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

  // Weights and averages in low precision that stand still where fp32's move.
  bool explain_stale_values() {
    const auto before = file_.result.replays;
    const auto own = file_.play(last(), {.steps = 20, .same_batch = true});
    const auto fp32 = file_.play(last(), {.wide = c10::kFloat, .steps = 20, .same_batch = true});
    file_.result.replays = before + 2;
    if (!own.is_finite() || !fp32.is_finite()) return false;
    const auto stale = stale_buffer({own.buffers_before, own.buffers},
                                    {fp32.buffers_before, fp32.buffers});
    if (!stale.empty()) {
      conclude(Verdict::precision_loss, last(), false,
               "the buffer " + stale + " stands still, and moves in fp32: small additions to a number "
               "in low precision are rounded away");
      diagnosis().parameter = stale;
      diagnosis().module = module_of(stale);
      diagnosis().op = "add_";
      file_.result.remedies.push_back({.advice = "keep the buffer " + stale + " in fp32"});
      return true;
    }
    const bool has_low_weights =
        file_.recipe.model_dtype != c10::kFloat && !file_.recipe.master_weights;
    if (!has_low_weights || own.weights_moved > 0.7 * fp32.weights_moved) return false;
    conclude(Verdict::precision_loss, last(), false,
             "the weights hardly move: " + shown(own.weights_moved) +
                 " of their size in 20 steps, in fp32 " + shown(fp32.weights_moved) +
                 "; updates below half an ulp of a weight in low precision are rounded away");
    diagnosis().op = "step";
    file_.result.remedies = {in_low_precision_on_fp32_weights(file_.recipe)};
    return true;
  }

  std::int64_t count_from_first() const {
    return static_cast<std::int64_t>(file_.evidence.steps.size());
  }

  // Beside the fp32 run, and beside how far fp32 is from itself when its weights are moved by an ulp.
  bool is_worse_than_reference() {
    auto reference = file_.reference.value_or(ReferenceRun());
    if (!file_.reference.has_value()) reference = played_reference({});
    if (reference.failed || reference.losses.size() < 20) return false;
    if (!is_worse(reference)) return false;
    if (reference.again.empty()) {
      const auto played = file_.reference.has_value() ? played_reference({}) : reference;
      const auto again = played_reference(1);
      if (played.failed || again.failed) return false;
      const double apart = late_mean(again.losses) - late_mean(played.losses);
      for (const double loss : reference.losses) reference.again.push_back(loss + apart);
    }
    const auto size = std::min(losses_.size(), reference.losses.size());
    const bool worse = is_worse(reference);
    file_.result.trials.push_back(
        {"the same training in fp32",
         "loss " + shown(late_mean(cut(reference.losses, size))) + ", here " +
             shown(late_mean(cut(losses_, size))) + ", apart by chance " +
             shown(tolerance_of(cut(losses_, size), cut(reference.losses, size), reference.again)),
         worse});
    return worse;
  }
  ReferenceRun played_reference(std::optional<std::uint64_t> perturb) {
    const auto before = file_.result.replays;
    const auto outcome = file_.play(
        first(), {.wide = c10::kFloat, .steps = count_from_first(), .perturb = perturb});
    file_.result.replays = before + 1;
    return {.losses = outcome.losses, .failed = !outcome.is_finite()};
  }
  bool is_worse(const ReferenceRun& reference) const {
    const auto size = std::min(losses_.size(), reference.losses.size());
    const auto own = cut(losses_, size), fp32 = cut(reference.losses, size);
    return late_mean(own) - late_mean(fp32) > tolerance_of(own, fp32, reference.again);
  }
  static std::vector<double> cut(const std::vector<double>& losses, std::size_t size) {
    return {losses.begin(), losses.begin() + static_cast<std::ptrdiff_t>(std::min(size, losses.size()))};
  }

  // All but products in fp32: is the error a healthy model's?
  bool explain_rounding(bool worse) {
    Variation variation{.wide = c10::kFloat, .loss_scale = scale(), .keep_gradients = true};
    variation.recipe.emplace(file_.recipe);
    variation.recipe->model_dtype = c10::kFloat;
    variation.recipe->master_weights = false;
    const auto products = file_.play(last(), variation);
    if (!products.is_finite()) return false;
    const auto rest = gradient_error(products.gradients, fp32_.gradients);
    const bool is_other = rest.relative < error_.relative / 3;
    file_.result.trials.push_back({"all but products in fp32",
                                   "gradients " + percent(rest.relative) + " from fp32's",
                                   is_other});
    if (!is_other && !worse) return false;
    std::vector<std::string> ops;
    if (is_other || worse) ops = culprits();
    if (is_other && ops.empty() && !worse) return false;
    conclude(Verdict::precision_loss, last(), false, "");
    auto& d = diagnosis();
    std::string what = "rounding in low precision";
    if (!ops.empty()) {
      d.op = ops.front();
      d.module = module_;
      what = (d.module.empty() ? "" : d.module + " ") + d.op + " in low precision";
    }
    d.parameter = error_.worst_parameter;
    if (!ops.empty() && overflowed_[d.op]) {
      d.verdict = Verdict::forward_overflow;
      what += " overflows to Inf, which no loss shows, and";
    }
    d.sentence = what + " puts gradients " + percent(error_.relative) + " from fp32's (most in " +
                 error_.worst_parameter + ")";
    if (!ops.empty()) d.sentence += "; it alone in low precision, they are " + percent(best_) + " away";
    if (worse) d.sentence += "; the loss is worse than fp32's by more than chance";
    if (!ops.empty()) file_.result.remedies.push_back(with_ops_in_fp32(file_.recipe, ops));
    file_.result.remedies.push_back(in_fp32(file_.recipe));
    return true;
  }

  std::optional<double> scale() const {
    return file_.is_scaled() ? std::optional(file_.evidence.steps.back().loss_scale) : std::nullopt;
  }

  // Everything in fp32 but one op at a time: the op that alone takes gradients furthest from fp32's, found by
  // halves, and which of its calls. Empty where none explains a third of the error.
  std::vector<std::string> culprits() {
    auto names = op_names();
    const auto error_of = [&](const std::vector<std::string>& ops, std::int64_t call) {
      const auto outcome = file_.play(last(), {.wide = c10::kFloat,
                                               .narrow_ops = ops,
                                               .narrow_call = call,
                                               .keep_gradients = true});
      return outcome.is_finite() ? gradient_error(outcome.gradients, fp32_.gradients).relative
                                 : std::numeric_limits<double>::infinity();
    };
    while (names.size() > 1 && file_.may_replay()) {
      const auto middle = names.begin() + static_cast<std::ptrdiff_t>(names.size() / 2);
      const std::vector<std::string> halves[] = {{names.begin(), middle}, {middle, names.end()}};
      const double errors[] = {error_of(halves[0], -1), error_of(halves[1], -1)};
      names = halves[errors[0] >= errors[1] ? 0 : 1];
      best_ = std::max(errors[0], errors[1]);
    }
    if (names.size() != 1 || best_ < error_.relative / 3) return {};
    file_.result.trials.push_back({"all in fp32 but " + names[0],
                                   "gradients " + percent(best_) + " from fp32's", false});
    find_call(names[0], error_of);
    return names;
  }

  // In which module the call is that does it.
  template <typename ErrorOf>
  void find_call(const std::string& op, const ErrorOf& error_of) {
    const auto& places = modules_[op];
    double most = 0;
    for (std::size_t call = 0; call < std::min<std::size_t>(places.size(), 8) && file_.may_replay();
         ++call) {
      const double error = error_of({op}, static_cast<std::int64_t>(call));
      if (error <= most) continue;
      most = error;
      module_ = places[call];
    }
  }
  static std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
  }

  // Of the forward pass, no products.
  std::vector<std::string> op_names() {
    Inspector inspector = file_.make_inspector();
    file_.play(last(), {.inspector = &inspector});
    static const std::set<std::string> products = {"linear",
                                                   "addmm",
                                                   "mm",
                                                   "bmm",
                                                   "baddbmm",
                                                   "matmul",
                                                   "conv1d",
                                                   "conv2d",
                                                   "conv3d",
                                                   "convolution",
                                                   "lstm",
                                                   "gru",
                                                   "scaled_dot_product_attention",
                                                   "einsum"};
    std::vector<std::string> names;
    for (const auto& op : inspector.ops()) {
      if (op.pass != Pass::forward || op.in_cast || products.contains(op.op)) continue;
      modules_[op.op].push_back(op.module);
      overflowed_[op.op] |= op.inputs_finite && op.output.statistics.infs > 0;
      if (std::ranges::find(names, op.op) == names.end()) names.push_back(op.op);
    }
    for (const char* maker : {"arange", "linspace", "full", "to", "type_as", "zeros", "ones"})
      names.emplace_back(maker);
    return names;
  }
  static std::string module_of(const std::string& tensor) {
    const auto dot = tensor.rfind('.');
    return dot == std::string::npos ? std::string() : tensor.substr(0, dot);
  }

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
  void explain_standstill() {
    if (losses_.size() < 20) return;
    if (const double zero = std::abs(losses_.front()); zero == 0 && late_mean(losses_) == 0) {
      conclude(Verdict::not_learning, 1, true, "the loss is exactly 0 in every step, in fp32 too");
      file_.result.remedies.push_back(
          {.advice = "look at how the loss is computed: nothing depends on it"});
      return;
    }
    const double start = mean_of(losses_, 0, 3), end = late_mean(losses_);
    if (start - end > 0.05 * std::abs(start)) return;  // it learns
    if (fp32_.gradient_norm == 0) {
      conclude(
          Verdict::not_learning, last(), true,
          "every gradient is zero, in fp32 too: the loss does not depend on the weights, or all "
          "units are dead");
      file_.result.remedies.push_back(
          {.advice = "look for units that are never active, a detach(), or a factor of 0"});
      return;
    }
    const auto vanished = vanished_parameters(fp32_.gradients);
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
    if (vanished.share > 0.3) {
      conclude(Verdict::vanishing, last(), true,
               "gradients vanish on their way to the first layers, in fp32 too: that of " +
                   vanished.smallest + " is " + shown(vanished.ratio) + " of that of " +
                   vanished.largest + ", and the loss stays at " + shown(end));
      diagnosis().parameter = vanished.smallest;
      diagnosis().module = module_of(vanished.smallest);
      diagnosis().pass = Pass::backward;
      file_.result.remedies.push_back({.advice = "use ReLU or GELU, residual connections or "
                                                 "normalisation, or another initialisation"});
      return;
    }
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
  static bool learns(const Outcome& outcome) {
    return outcome.is_finite() && outcome.losses.size() > 1 &&
           outcome.losses.front() - late_mean(outcome.losses) >
               0.02 * std::abs(outcome.losses.front());
  }

  CaseFile& file_;
  const std::vector<std::int64_t> steps_;
  std::vector<double> losses_;
  Outcome fp32_;
  GradientError error_;
  double best_ = 0;
  std::map<std::string, std::vector<std::string>> modules_;  // of each call of an op
  std::map<std::string, bool> overflowed_;
  std::string module_;
};

}  // namespace

void explain_silence(CaseFile& file) {
  Silence silence(file);
  silence.explain();
  const auto steps = file.experiment.steps();
  if (file.result.diagnosis.verdict != Verdict::clean && !steps.empty())
    try_remedies(file, steps.front());
}

}  // namespace amp::doctor
