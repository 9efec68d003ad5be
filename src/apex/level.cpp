// What an opt_level and its overrides mean.
#include "src/apex/level.h"

#include <algorithm>
#include <limits>

#include "amp/error.h"

namespace amp {

ApexLossScale::ApexLossScale(const char* dynamic) {
  if (dynamic == nullptr || std::string(dynamic) != "dynamic") {
    throw InvalidArgument(std::string("initialize: loss_scale must be \"dynamic\" or a number, "
                                      "got \"") +
                          (dynamic == nullptr ? "" : dynamic) + "\"");
  }
}

ApexLossScale::ApexLossScale(double number) : fixed(number) {}

namespace apex {
namespace {

Recipe recipe_of_level(const std::string& level) {
  if (level == "O0") return Recipe::O0();
  if (level == "O1") return Recipe::O1();
  if (level == "O2") return Recipe::O2();
  if (level == "O3") return Recipe::O3();
  throw InvalidArgument(
      "initialize: the opt_level must be \"O0\", \"O1\", \"O2\" or \"O3\" (the "
      "letter O, not a zero), got \"" +
      level + "\"");
}

// O1 casts op by op and leaves the model in fp32, which is then its own master.
void check_o1(const ApexOptions& options) {
  const char* taken = options.cast_model_type.value_or(c10::kFloat) != c10::kFloat
                          ? "cast_model_type"
                      : options.keep_batchnorm_fp32.has_value() ? "keep_batchnorm_fp32"
                      : options.master_weights.value_or(false)  ? "master_weights"
                                                                : nullptr;
  if (taken == nullptr) return;
  throw InvalidArgument(
      std::string("initialize: O1 casts op by op and leaves the model in fp32, so "
                  "it takes no ") +
      taken + "; leave it out, or use \"O2\"");
}

void override_model(Recipe& recipe, const ApexOptions& options) {
  if (options.cast_model_type.has_value())
    recipe.model_dtype = recipe.compute_dtype = *options.cast_model_type;
  const bool is_fp32 = recipe.model_dtype == c10::kFloat;
  recipe.master_weights = options.master_weights.value_or(recipe.master_weights && !is_fp32);
  recipe.keep_batchnorm_fp32 = options.keep_batchnorm_fp32.value_or(recipe.keep_batchnorm_fp32);
}

void override_scaling(Recipe& recipe, const ApexOptions& options) {
  recipe.scaler.min_scale = options.min_loss_scale;
  recipe.scaler.max_scale = options.max_loss_scale;
  recipe.scaler.init_scale = std::min(recipe.scaler.init_scale, options.max_loss_scale);
  if (!options.loss_scale.has_value()) return;
  const auto& fixed = options.loss_scale->fixed;
  recipe.loss_scaling = !fixed.has_value() ? LossScaling::dynamic
                        : *fixed == 1.0    ? LossScaling::none
                                           : LossScaling::fixed;
  recipe.static_scale = fixed.value_or(recipe.static_scale);
}

}  // namespace

Recipe recipe_of(const std::string& opt_level, const ApexOptions& options) {
  auto recipe = recipe_of_level(opt_level);
  if (!options.enabled) return Recipe::O0();
  if (options.num_losses < 1) {
    throw InvalidArgument("initialize: num_losses must be >= 1, got " +
                          std::to_string(options.num_losses));
  }
  if (opt_level == "O1") {
    check_o1(options);
  } else {
    override_model(recipe, options);
  }
  override_scaling(recipe, options);
  recipe.validate();
  return recipe;
}

}  // namespace apex
}  // namespace amp
