// What a model and an optimizer must be for a recipe, and what the recipe means for a scaler.
#include "src/train_step/check_model.h"

#include <c10/util/Type.h>

#include <optional>
#include <sstream>
#include <typeinfo>

#include "amp/error.h"
#include "src/optim/scaled_step.h"

namespace amp::train_step {
namespace {

[[noreturn]] void refuse_parameter(const char* who, const std::string& name,
                                   const at::Tensor& parameter, const std::string& rule) {
  std::ostringstream message;
  message << who << ": parameter '" << name << "' (shape " << parameter.sizes() << ") is "
          << parameter.scalar_type() << " on " << parameter.device() << "; " << rule;
  throw InvalidArgument(message.str());
}

constexpr auto kComplexRule =
    "complex parameters have no place in mixed precision: register at::view_as_real of it, a real "
    "parameter, and use at::view_as_complex in forward()";

bool is_trained_complex(const at::Tensor& parameter) {
  return parameter.defined() && parameter.is_complex() && parameter.requires_grad();
}

bool is_trained(const ModelTensor& item) {
  return item.is_parameter && item.tensor.is_floating_point() && item.tensor.requires_grad();
}

// The fp32 values become the masters. So a model may come in low precision only if it is to have no
// masters.
bool has_fitting_dtype(const at::Tensor& parameter, const Recipe& recipe) {
  const auto dtype = parameter.scalar_type();
  if (dtype == c10::kFloat || dtype == c10::kDouble) return true;
  return dtype == recipe.model_dtype && !recipe.master_weights;
}

}  // namespace

c10::Device checked_device(const char* who, const std::vector<ModelTensor>& model,
                           const Recipe& recipe) {
  std::optional<c10::Device> device;
  for (const auto& item : model) {
    if (item.is_parameter && is_trained_complex(item.tensor))
      refuse_parameter(who, item.name, item.tensor, kComplexRule);
    if (!is_trained(item)) continue;
    if (!has_fitting_dtype(item.tensor, recipe)) {
      refuse_parameter(who, item.name, item.tensor,
                       "the parameters are the master weights: convert the model to Float");
    }
    if (device.has_value() && *device != item.tensor.device()) {
      refuse_parameter(who, item.name, item.tensor,
                       "the parameters before it are on " + device->str() + ": use one device");
    }
    device = item.tensor.device();
  }
  if (!device.has_value())
    throw InvalidArgument(std::string(who) +
                          ": the model has no floating-point parameter to train");
  return *device;
}

void check_parameters(const char* who, const torch::optim::Optimizer& optimizer) {
  const auto& groups = optimizer.param_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (std::size_t i = 0; i < groups[g].params().size(); ++i) {
      const auto& parameter = groups[g].params()[i];
      if (!is_trained_complex(parameter)) continue;
      refuse_parameter(who, std::to_string(i) + " of group " + std::to_string(g), parameter,
                       kComplexRule);
    }
  }
}

void check_scaling(const char* who, const Recipe& recipe,
                   const torch::optim::Optimizer& optimizer) {
  if (recipe.model_dtype != c10::kHalf || recipe.master_weights) return;
  if (recipe.loss_scaling == LossScaling::none) return;
  if (optim::has_fused_step(optimizer)) return;
  throw InvalidArgument(
      std::string(who) +
      ": loss scaling of a Half model without master weights (O3) cannot "
      "be done with " +
      c10::demangle(typeid(optimizer).name()) +
      ", whose fp16 gradients cannot be unscaled; use an optimizer of amp::optim, "
      "Recipe::O2(), or LossScaling::none");
}

GradScalerOptions scaler_options(const Recipe& recipe) {
  auto options = recipe.scaler;
  options.enabled = recipe.loss_scaling != LossScaling::none;
  if (recipe.loss_scaling == LossScaling::fixed) {
    options.init_scale = static_cast<double>(static_cast<float>(recipe.static_scale));
    options.min_scale = options.max_scale = options.init_scale;
  }
  return options;
}

}  // namespace amp::train_step
