// Dividing an optimizer's gradients by the loss scale: one ATen call per device and dtype.
#include "src/grad_scaler/unscale.h"

#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <sstream>
#include <string>
#include <utility>

#include "amp/error.h"

namespace amp::scaling {
namespace {

struct DtypeGroup {
  c10::ScalarType dtype;
  std::vector<at::Tensor> gradients;
};

struct DeviceGroup {
  c10::Device device;
  std::vector<DtypeGroup> dtypes;
};

// What keeps a gradient from being unscaled; null if nothing does.
const char* refusal(const at::Tensor& gradient) {
  const auto dtype = gradient.scalar_type();
  if (dtype == c10::kHalf) {
    return "fp16; unscaled it would be flushed to zero. Keep the parameter in fp32 and run the "
           "forward pass under Autocast";
  }
  if (dtype != c10::kFloat && dtype != c10::kBFloat16 && dtype != c10::kDouble)
    return "of a dtype that cannot be unscaled; use Float, BFloat16 or Double";
  if (gradient.layout() != c10::kStrided && gradient.layout() != c10::kSparse)
    return "of a layout that cannot be unscaled; use dense or sparse COO gradients";
  return nullptr;
}

[[noreturn]] void refuse(std::size_t group, std::size_t index, const at::Tensor& parameter,
                         const char* why) {
  std::ostringstream message;
  message << "GradScaler: the gradient of parameter " << index << " in group " << group
          << " (shape " << parameter.sizes() << ", " << parameter.grad().scalar_type() << ", "
          << parameter.grad().layout() << ") is " << why;
  throw InvalidArgument(message.str());
}

template <typename Group, typename Key>
Group& find_or_add(std::vector<Group>& groups, Key Group::* key, Key wanted) {
  for (auto& group : groups) {
    if (group.*key == wanted) return group;
  }
  groups.push_back(Group{wanted, {}});
  return groups.back();
}

std::vector<DeviceGroup> grouped_gradients(torch::optim::Optimizer& optimizer) {
  std::vector<DeviceGroup> devices;
  auto& groups = optimizer.param_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto& parameters = groups[g].params();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor& gradient = parameters[i].grad();
      if (!gradient.defined()) continue;
      if (const char* why = refusal(gradient)) refuse(g, i, parameters[i], why);
      auto& device = find_or_add(devices, &DeviceGroup::device, gradient.device());
      auto& dtype = find_or_add(device.dtypes, &DtypeGroup::dtype, gradient.scalar_type());
      dtype.gradients.push_back(gradient.is_sparse() ? gradient._values() : gradient);
    }
  }
  return devices;
}

at::Tensor flag_of(DeviceGroup& group, float scale) {
  const auto options = at::TensorOptions().dtype(c10::kFloat).device(group.device);
  auto found_inf = at::zeros({}, options);
  const auto inverse = at::full({}, static_cast<float>(1.0 / static_cast<double>(scale)), options);
  const auto one = at::full({}, 1.0f, options);
  for (auto& [dtype, gradients] : group.dtypes) {
    at::_amp_foreach_non_finite_check_and_unscale_(gradients, found_inf, inverse);
    // The kernel looks at what comes in. A scale below 1 makes gradients larger: look at what came
    // out, too.
    if (scale < 1) at::_amp_foreach_non_finite_check_and_unscale_(gradients, found_inf, one);
  }
  return found_inf;
}

}  // namespace

FoundInf unscale_gradients(torch::optim::Optimizer& optimizer, float scale) {
  c10::NoGradGuard no_grad;
  auto devices = grouped_gradients(optimizer);
  FoundInf flags;
  for (auto& device : devices) flags.push_back(flag_of(device, scale));
  return flags;
}

bool any_found(const FoundInf& flags) {
  for (const auto& flag : flags) {
    if (flag.item<float>() != 0.0f) return true;
  }
  return false;
}

}  // namespace amp::scaling
