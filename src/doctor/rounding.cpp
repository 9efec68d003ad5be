// Which op's rounding takes gradients away from fp32's.
#include <algorithm>
#include <map>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

class Rounding : public SilentTraining {
 public:
  Rounding(CaseFile& file, const Outcome& fp32, const GradientError& error)
      : SilentTraining(file), fp32_(fp32), error_(error) {}

  // All but products in fp32: is the error a healthy model's?
  bool explain(bool worse) {
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
    const auto ops = culprits();
    if (ops.empty() && !worse) return false;
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
      d.step = file_.evidence.steps.front().step;
    }
    d.sentence = what + " puts gradients " + percent(error_.relative) + " from fp32's (most in " +
                 error_.worst_parameter + ")";
    if (!ops.empty())
      d.sentence += "; it alone in low precision, they are " + percent(best_) + " away";
    if (worse) d.sentence += "; the loss is worse than fp32's by more than chance";
    if (!ops.empty()) file_.result.remedies.push_back(with_ops_in_fp32(file_.recipe, ops));
    file_.result.remedies.push_back(in_fp32(file_.recipe));
    return true;
  }

 private:
  std::optional<double> scale() const {
    return file_.is_scaled() ? std::optional(file_.evidence.steps.back().loss_scale) : std::nullopt;
  }

  // Everything in fp32 but one op at a time: the op that alone takes gradients furthest from fp32's, found by
  // halves, and which of its calls. Empty where none explains a third of the error.
  std::vector<std::string> culprits() {
    auto names = op_names();
    // Casts of the model's own, and what it makes in a low dtype itself.
    const std::vector<std::string> makers = {"to",       "type_as", "arange",
                                             "linspace", "full",    "zeros"};
    const auto error_of = [&](const std::vector<std::string>& ops, std::int64_t call) {
      const auto outcome = file_.play(
          last(),
          {.wide = c10::kFloat, .narrow_ops = ops, .narrow_call = call, .keep_gradients = true});
      // What is not finite there was not what it was here.
      return outcome.is_finite() ? gradient_error(outcome.gradients, fp32_.gradients).relative : 0;
    };
    if (error_of(makers, -1) > error_.relative / 3) names = makers;
    while (names.size() > 1 && file_.may_replay()) {
      const auto middle = names.begin() + static_cast<std::ptrdiff_t>(names.size() / 2);
      const std::vector<std::string> halves[] = {{names.begin(), middle}, {middle, names.end()}};
      const double errors[] = {error_of(halves[0], -1), error_of(halves[1], -1)};
      names = halves[errors[0] >= errors[1] ? 0 : 1];
      best_ = std::max(errors[0], errors[1]);
    }
    if (names.size() != 1 || best_ < error_.relative / 3) return {};
    file_.result.trials.push_back(
        {"all in fp32 but " + names[0], "gradients " + percent(best_) + " from fp32's", false});
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

  // What computes in low precision in the forward pass.
  std::vector<std::string> op_names() {
    Inspector inspector = file_.make_inspector();
    file_.play(last(), {.inspector = &inspector});
    std::vector<std::string> names;
    for (const auto& op : inspector.ops()) {
      if (op.pass != Pass::forward || op.in_cast) continue;
      modules_[op.op].push_back(op.module);
      if (op.dtype == "fp32" || op.dtype == "fp64") continue;
      overflowed_[op.op] |= op.inputs_finite && op.output.statistics.infs > 0;
      if (std::ranges::find(names, op.op) == names.end()) names.push_back(op.op);
    }
    return names;
  }

  const Outcome& fp32_;
  const GradientError& error_;
  double best_ = 0;
  std::map<std::string, std::vector<std::string>> modules_;  // of each call of an op
  std::map<std::string, bool> overflowed_;
  std::string module_;
};

}  // namespace

bool explain_rounding(CaseFile& file, const Outcome& fp32, const GradientError& error, bool worse) {
  return Rounding(file, fp32, error).explain(worse);
}

}  // namespace amp::doctor
