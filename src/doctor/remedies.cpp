// Remedies, and training with them.
#include <algorithm>
#include <cmath>
#include <utility>

#include "amp/error.h"
#include "src/doctor/case_file.h"
#include "src/doctor/gradient_error.h"
#include "src/inspect/words.h"

namespace amp::doctor {
namespace {

// The policy that the recipe's regions have on the CPU. On CUDA the lists differ, but the edits are
// the same.
OpPolicy policy_of(const Recipe& recipe) {
  return recipe.policy.value_or(OpPolicy::fast(c10::kCPU));
}

// The C++ line that makes the named recipe with which the training's begins.
std::string code_of(const Recipe& recipe) {
  const char* made = recipe.compute_dtype == c10::kHalf       ? "fp16"
                     : recipe.compute_dtype == c10::kBFloat16 ? "bf16"
                                                              : "fp32";
  if (recipe.model_dtype != c10::kFloat) made = "O2";
  return std::string("auto recipe = amp::Recipe::") + made + "();\n";
}

const char* const kPolicyLine = "auto policy = amp::OpPolicy::fast(torch::kCPU);\n";

// A remedy with a changed copy of this recipe.
template <typename Change>
Remedy changed(const Recipe& recipe, std::string advice, std::string code, Change change) {
  Remedy remedy;
  remedy.advice = std::move(advice);
  remedy.code = std::move(code);
  remedy.recipe.emplace(recipe);
  change(*remedy.recipe);
  return remedy;
}

// Makes the recipe keep fp32 weights and cast by this policy.
void cast_by(Recipe& recipe, const OpPolicy& policy) {
  recipe.model_dtype = c10::kFloat;
  recipe.master_weights = false;
  recipe.policy = policy;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return text;
}

bool learns_like(const Outcome& outcome, const Outcome& fp32) {
  if (!outcome.is_finite() || outcome.losses.empty()) return false;
  // A scale that is still looking for its place skips at the start. Later every skip is a lost
  // step.
  if (outcome.skipped >
          std::max<std::int64_t>(18, static_cast<std::int64_t>(outcome.losses.size()) / 5) ||
      2 * outcome.skipped > static_cast<std::int64_t>(outcome.losses.size()))
    return false;
  // If the fp32 run grows, too, the loss must fall.
  const bool grows = !fp32.is_finite() || fp32.losses.empty() ||
                     late_mean(fp32.losses) - fp32.losses.front() > std::abs(fp32.losses.front());
  if (grows) return late_mean(outcome.losses) < outcome.losses.front();
  // A loss far below fp32's on the same batches is as wrong as one far above it. Without a gradient
  // nothing is learned.
  if (outcome.skipped == 0 && outcome.gradient_norm == 0 && fp32.gradient_norm > 0) return false;
  const double above = late_mean(outcome.losses) - late_mean(fp32.losses);
  const double tolerance = tolerance_of(outcome.losses, fp32.losses, {});
  return above <= tolerance && above >= -3 * tolerance;
}

// If the gradients show the fault, they must be nearer to fp32's by half.
bool brings_gradients_near(CaseFile& file, const Remedy& remedy) {
  if (!file.gradient_fault.has_value() || !remedy.recipe.has_value()) return true;
  const auto& fault = *file.gradient_fault;
  const auto fp32 = file.play(fault.step, {.wide = c10::kFloat, .keep_gradients = true});
  auto own = file.play(fault.step, {.recipe = remedy.recipe, .keep_gradients = true});
  if (!own.is_finite() && remedy.recipe->loss_scaling == LossScaling::dynamic)
    own =
        file.play(fault.step, {.recipe = remedy.recipe, .loss_scale = 1.0, .keep_gradients = true});
  return own.is_finite() &&
         gradient_error(own.gradients, fp32.gradients).relative < fault.error / 2;
}

// If fp32 goes wrong by itself as well: the first remedy that has a recipe, at a tenth of the
// learning rate.
template <typename Try>
void slow_down(std::vector<Remedy>& remedies, const Try& try_one) {
  const auto first = std::ranges::find_if(remedies, [](const Remedy& remedy) {
    return remedy.recipe.has_value() && remedy.learning_rate == 1;
  });
  if (first == remedies.end()) return;
  auto slow = *first;
  const auto rate = with_learning_rate(0.1);
  slow.advice += " and " + rate.advice;
  slow.code += "\n" + rate.code;
  slow.learning_rate = rate.learning_rate;
  try_one(slow);
  if (slow.cures) remedies.push_back(std::move(slow));
}

}  // namespace

Remedy in_bf16(const Recipe& recipe) {
  return changed(Recipe::bf16(), "use bf16", "auto recipe = amp::Recipe::bf16();",
                 [&](Recipe& bf16) {
                   bf16.policy = recipe.policy;
                   bf16.max_grad_norm = recipe.max_grad_norm;
                   bf16.accumulation = recipe.accumulation;
                 });
}

Remedy in_low_precision_on_fp32_weights(const Recipe& recipe) {
  return changed(
      recipe, "keep the weights in fp32 and cast by autocast",
      code_of(recipe) + "recipe.model_dtype = torch::kFloat;\nrecipe.master_weights = false;",
      [](Recipe& own) {
        own.model_dtype = c10::kFloat;
        own.master_weights = false;
      });
}

Remedy in_fp32(const Recipe& recipe) {
  return changed(Recipe::fp32(), "train in fp32", "auto recipe = amp::Recipe::fp32();",
                 [&](Recipe& fp32) {
                   fp32.max_grad_norm = recipe.max_grad_norm;
                   fp32.accumulation = recipe.accumulation;
                 });
}

Remedy with_ops_in_fp32(const Recipe& recipe, const std::vector<std::string>& ops) {
  auto policy = policy_of(recipe);
  std::vector<std::string> set;
  std::string code;
  for (const auto& op : ops) {
    try {
      policy.set(op, CastRule::fp32);
      set.push_back(op);
      code += "policy.set(\"" + op + "\", amp::CastRule::fp32);\n";
    } catch (const Error&) {  // not an op that autocast sees
    }
  }
  if (set.empty()) return {};
  return changed(recipe, "keep " + listed(set) + " in fp32",
                 code_of(recipe) + kPolicyLine + code + "recipe.policy = policy;",
                 [&](Recipe& own) { cast_by(own, policy); });
}

Remedy with_module_in_fp32(const Recipe& recipe, const std::string& module) {
  auto policy = policy_of(recipe);
  try {
    policy.set_module(module, CastRule::fp32);
  } catch (const Error&) {
    return {};
  }
  return changed(recipe, "keep the module " + module + " in fp32",
                 code_of(recipe) + kPolicyLine + "policy.set_module(\"" + module +
                     "\", amp::CastRule::fp32);\nrecipe.policy = policy;",
                 [&](Recipe& own) { cast_by(own, policy); });
}

Remedy with_dynamic_scale(const Recipe& recipe) {
  return changed(recipe, "use dynamic loss scaling",
                 code_of(recipe) + "recipe.loss_scaling = amp::LossScaling::dynamic;",
                 [](Recipe& own) { own.loss_scaling = LossScaling::dynamic; });
}

Remedy with_initial_scale(const Recipe& recipe, double scale) {
  const auto text = inspect::shown(scale);
  return changed(recipe, "begin dynamic loss scaling at " + text,
                 code_of(recipe) + "recipe.scaler.init_scale = " + text + ";", [&](Recipe& own) {
                   own.loss_scaling = LossScaling::dynamic;
                   own.scaler.init_scale = scale;
                 });
}

Remedy with_scale(const Recipe& recipe, double scale) {
  const auto text = inspect::shown(scale);
  return changed(
      recipe, "use a fixed loss scale of " + text,
      code_of(recipe) +
          "recipe.loss_scaling = amp::LossScaling::fixed;\nrecipe.static_scale = " + text + ";",
      [&](Recipe& own) {
        own.loss_scaling = LossScaling::fixed;
        own.static_scale = scale;
      });
}

Remedy with_learning_rate(double factor) {
  const auto divided = inspect::shown(1 / factor);
  return {.advice = factor < 1 ? "divide the learning rate by " + divided
                               : "multiply the learning rate by " + inspect::shown(factor),
          .learning_rate = factor,
          .code =
              "for (auto& group : optimizer.param_groups())\n"
              "  group.options().set_lr(" +
              inspect::shown(factor) + " * group.options().get_lr());"};
}

double calm_rate(CaseFile& file, std::int64_t step) {
  constexpr std::int64_t kSteps = 30;
  const auto before = file.result.replays;
  double found = 0;
  for (double factor = 0.1; factor > 1e-9 && found == 0; factor /= 10) {
    const auto outcome = file.play(step, {.learning_rate = factor, .steps = kSteps});
    if (outcome.is_finite() && !outcome.losses.empty() &&
        late_mean(outcome.losses) <=
            outcome.losses.front() + 0.1 * std::abs(outcome.losses.front()))
      found = factor;
  }
  file.result.replays = before + 1;
  return found == 0 ? 0.1 : found;
}

Remedy with_clipping(const Recipe& recipe, double norm) {
  const auto text = inspect::shown(norm);
  return changed(recipe, "clip the gradients to a norm of " + text,
                 code_of(recipe) + "recipe.max_grad_norm = " + text + ";",
                 [&](Recipe& own) { own.max_grad_norm = norm; });
}

void try_remedies(CaseFile& file, std::int64_t step) {
  auto& remedies = file.result.remedies;
  std::erase_if(remedies, [](const Remedy& remedy) { return remedy.advice.empty(); });
  if (file.options.trial_steps == 0 || remedies.empty()) return;
  const auto before = file.result.replays;  // trials are counted apart
  const auto steps = file.options.trial_steps;
  const auto fp32 = file.play(step, {.wide = c10::kFloat, .steps = steps});
  const auto try_one = [&](Remedy& remedy) {
    const auto outcome = file.play(
        step, {.recipe = remedy.recipe, .learning_rate = remedy.learning_rate, .steps = steps});
    if (!outcome.played) return;
    remedy.steps = steps;
    // Another learning rate makes another training, which need not equal fp32's.
    remedy.cures = learns_like(outcome, remedy.learning_rate == 1 ? fp32 : Outcome()) &&
                   brings_gradients_near(file, remedy);
    remedy.outcome = words_of(outcome);
    if (fp32.is_finite() && !fp32.losses.empty())
      remedy.outcome += "; fp32 " + inspect::shown(late_mean(fp32.losses));
  };
  std::int64_t tried = 0;
  for (auto& remedy : remedies) {
    const bool is_ours = remedy.recipe.has_value() || remedy.learning_rate != 1;
    if (!is_ours || tried == file.options.trials) continue;
    ++tried;
    try_one(remedy);
  }
  if (tried > 0 && !fp32.is_finite() && std::ranges::none_of(remedies, &Remedy::cures)) {
    file.result.notes.push_back("the same steps in fp32 go wrong, too: " + words_of(fp32));
    slow_down(remedies, try_one);
  }
  std::ranges::stable_sort(remedies, [](const Remedy& a, const Remedy& b) {
    const auto rank = [](const Remedy& r) { return r.cures ? 0 : r.steps == 0 ? 1 : 2; };
    return rank(a) < rank(b);
  });
  file.result.replays = before;
}

}  // namespace amp::doctor
