// Which op's rounding takes gradients away from fp32's.
#include <algorithm>
#include <map>
#include <set>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

// Whether the op rounds nothing: for inputs that fit the format it gives numbers that fit it.
bool rounds_nothing(const std::string& op) {
  static const std::set<std::string> exact = {
      "relu",       "relu_",        "relu6",       "hardtanh",     "clamp",         "clamp_",
      "clamp_min",  "clamp_max",    "clip",        "threshold",    "max_pool1d",    "max_pool2d",
      "max_pool3d", "amax",         "amin",        "max",          "min",           "maximum",
      "minimum",    "where",        "masked_fill", "masked_fill_", "cat",           "stack",
      "concat",     "repeat",       "roll",        "flip",         "pad",           "gather",
      "index",      "index_select", "embedding",   "neg",          "abs",           "sign",
      "clone",      "contiguous",   "zeros",       "zeros_like",   "ones",          "ones_like",
      "empty",      "empty_like",   "sort",        "topk",         "tril",          "triu",
      "detach",     "new_zeros",    "new_ones",    "nan_to_num",   "take_along_dim"};
  return exact.contains(op);
}

class Rounding : public SilentTraining {
 public:
  Rounding(CaseFile& file, const Outcome& fp32, const GradientError& error)
      : SilentTraining(file), fp32_(fp32), error_(error) {}

  // Plays all ops but products in fp32: is the error then that of a healthy model?
  bool explain(bool is_grave, bool worse) {
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
    if (!is_other && !is_grave) return false;
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
    d.sentence = what + " puts gradients " + percent(error_.relative) + " from fp32's (most in " +
                 error_.worst_parameter + ")";
    if (!ops.empty())
      d.sentence += "; with all else in fp32 they are still " + percent(best_) + " away";
    if (worse) d.sentence += "; the loss is worse than fp32's by more than chance";
    if (file_.computes_in_fp32()) {
      file_.result.remedies.push_back(
          {.advice = "leave out the model's own cast to low precision" +
                     (ops.empty() ? std::string() : " before " + d.op)});
      return true;
    }
    if (!ops.empty()) file_.result.remedies.push_back(with_ops_in_fp32(file_.recipe, ops));
    file_.result.remedies.push_back(in_fp32(file_.recipe));
    if (is_other) file_.gradient_fault = {last(), error_.relative};
    return true;
  }

 private:
  std::optional<double> scale() const {
    return file_.is_scaled() ? std::optional(file_.evidence.steps.back().loss_scale) : std::nullopt;
  }

  using Calls = std::vector<std::int64_t>;  // places in Outcome::calls

  // Plays everything in fp32 except the low-precision calls of one op at a time. Finds by halves
  // the op that alone moves the gradients furthest from fp32's, and which of its calls. Empty if
  // none explains a third of the error.
  std::vector<std::string> culprits() {
    const auto calls = file_.play(last(), {.find_calls = true}).calls;
    std::map<std::string, Calls> by_op;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!calls[i].is_low || calls[i].is_random || rounds_nothing(calls[i].op)) continue;
      const auto [op, is_new] = by_op.try_emplace(calls[i].op);
      if (is_new) names.push_back(calls[i].op);
      op->second.push_back(static_cast<std::int64_t>(i));
    }
    const auto error_of = [&](const std::vector<std::string>& ops) {
      Calls all;
      for (const auto& op : ops) all.insert(all.end(), by_op[op].begin(), by_op[op].end());
      std::ranges::sort(all);
      return error_of_calls(all);
    };
    while (names.size() > 1 && file_.may_replay()) {
      const auto middle = names.begin() + static_cast<std::ptrdiff_t>(names.size() / 2);
      const std::vector<std::string> halves[] = {{names.begin(), middle}, {middle, names.end()}};
      const double errors[] = {error_of(halves[0]), error_of(halves[1])};
      const int half = is_first(errors) ? 0 : 1;
      names = halves[half];
      best_ = errors[half];
    }
    if (names.size() != 1 || best_ < error_.relative / 3) return {};
    file_.result.trials.push_back(
        {"all in fp32 but " + names[0], "gradients " + percent(best_) + " from fp32's", false});
    find_place(calls, by_op[names[0]]);
    return names;
  }

  // An op that rounds its input is as bad as the op that gave the input. Of two such ops the first
  // is named.
  static bool is_first(const double (&errors)[2]) { return errors[0] >= errors[1] / 2; }

  double error_of_calls(const Calls& calls) {
    const auto outcome =
        file_.play(last(), {.wide = c10::kFloat, .narrow_calls = calls, .keep_gradients = true});
    // A replay that is not finite is not comparable.
    return outcome.is_finite() ? gradient_error(outcome.gradients, fp32_.gradients).relative : 0;
  }

  // The module of the call that causes the error, among the calls of one op.
  void find_place(const std::vector<OpCall>& all, const Calls& calls) {
    Calls suspects = calls;
    while (suspects.size() > 1 && file_.may_replay()) {
      const auto middle = suspects.begin() + static_cast<std::ptrdiff_t>(suspects.size() / 2);
      const Calls halves[] = {{suspects.begin(), middle}, {middle, suspects.end()}};
      const double errors[] = {error_of_calls(halves[0]), error_of_calls(halves[1])};
      suspects = halves[is_first(errors) ? 0 : 1];
    }
    if (suspects.empty()) return;
    const auto& found = all[static_cast<std::size_t>(suspects[0])];
    if (!found.parameter.empty()) {
      module_ = module_of(found.parameter);
      return;
    }
    const auto& op = found.op;
    const auto before =
        std::count_if(all.begin(), all.begin() + suspects[0],
                      [&](const OpCall& call) { return call.op == op && call.is_low; });
    look_at_call(op, before);
  }

  // The module in which an Inspector sees the n-th call of an op whose result is in low precision.
  void look_at_call(const std::string& name, std::int64_t n) {
    Inspector inspector = file_.make_inspector();
    file_.play(last(), {.inspector = &inspector});
    const auto is_called = [&](const OpRecord& op) {
      return op.pass == Pass::forward && !op.in_cast && op.dtype != "fp32" && op.dtype != "fp64" &&
             (op.op == name || op.called_as == name);
    };
    std::int64_t seen = 0;
    for (const auto& op : inspector.ops()) {
      if (is_called(op) && seen++ == n) module_ = op.module;
    }
  }

  const Outcome& fp32_;
  const GradientError& error_;
  double best_ = 0;
  std::string module_;
};

}  // namespace

bool explain_rounding(CaseFile& file, const Outcome& fp32, const GradientError& error,
                      bool is_grave, bool worse) {
  return Rounding(file, fp32, error).explain(is_grave, worse);
}

}  // namespace amp::doctor
