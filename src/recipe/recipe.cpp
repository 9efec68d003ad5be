// Recipe: the named choices and the rules of each field.
#include "amp/recipe.h"

#include <cmath>
#include <sstream>

#include "amp/error.h"
#include "src/grad_scaler/validate.h"

namespace amp {
namespace {

template <typename Value>
void require(bool holds, const char* field, const char* rule, Value value) {
  if (holds) return;
  std::ostringstream message;
  message << "Recipe: " << field << " must be " << rule << ", got " << value;
  throw InvalidArgument(message.str());
}

}  // namespace

Recipe Recipe::fp32() { return {}; }

Recipe Recipe::bf16() { return {.compute_dtype = c10::kBFloat16}; }

Recipe Recipe::fp16() {
  return {.compute_dtype = c10::kHalf, .loss_scaling = LossScaling::dynamic};
}

Recipe Recipe::fp8() { return emulated(Format::e4m3); }

Recipe Recipe::emulated(Format format) {
  Recipe recipe;
  recipe.emulate = {.forward = format, .backward = format == Format::e4m3 ? Format::e5m2 : format};
  if (format == Format::fp16) recipe.loss_scaling = LossScaling::dynamic;
  return recipe;
}

Recipe Recipe::O0() { return fp32(); }

Recipe Recipe::O1() { return fp16(); }

Recipe Recipe::O2() {
  auto recipe = fp16();
  recipe.model_dtype = c10::kHalf;
  recipe.master_weights = true;
  return recipe;
}

Recipe Recipe::O3() {
  Recipe recipe{.compute_dtype = c10::kHalf, .model_dtype = c10::kHalf};
  recipe.keep_batchnorm_fp32 = false;
  return recipe;
}

Autocast Recipe::autocast(c10::DeviceType device) const {
  const bool casts = compute_dtype != c10::kFloat;
  return Autocast(device, casts ? std::optional(compute_dtype) : std::nullopt,
                  {.enabled = casts || emulate.has_value(),
                   .policy = policy.has_value() ? *policy : OpPolicy::fast(device),
                   .emulate = emulate});
}

void Recipe::validate() const {
  const bool known = compute_dtype == c10::kFloat || compute_dtype == c10::kBFloat16 ||
                     compute_dtype == c10::kHalf;
  require(known, "compute_dtype", "Float, BFloat16 or Half", c10::toString(compute_dtype));
  require(!emulate.has_value() || compute_dtype == c10::kFloat, "compute_dtype",
          "Float where a format is emulated", c10::toString(compute_dtype));
  require(model_dtype == c10::kFloat || model_dtype == compute_dtype, "model_dtype",
          "Float or the compute dtype", c10::toString(model_dtype));
  require(!master_weights || model_dtype != c10::kFloat, "master_weights",
          "false with a model_dtype of Float (an fp32 model is its own master)", "true");
  require(scaling::is_usable_scale(static_scale), "static_scale",
          "finite and positive in fp32, and so must its reciprocal be", static_scale);
  require(max_grad_norm >= 0 && std::isfinite(max_grad_norm), "max_grad_norm",
          "finite and >= 0 (0 does not clip)", max_grad_norm);
  require(accumulation >= 1, "accumulation", ">= 1", accumulation);
}

}  // namespace amp
