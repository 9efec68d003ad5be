// What a model is passed in beside the module itself: a holder of torch::nn, a pointer, an optional.
#pragma once

#include <concepts>
#include <string>

#include "amp/error.h"

namespace torch::nn {
class Module;
}
namespace torch::jit {
struct Module;
}

namespace amp {

// torch::nn::Linear, TORCH_MODULE's holders, std::shared_ptr and std::unique_ptr of a module, of
// TorchScript's too: whatever `*holder` makes a module of.
template <typename T>
concept HoldsModule = requires(const T& holder) {
  static_cast<bool>(holder);
  *holder;
}
&&(
    requires(const T& holder) {
      { *holder } -> std::convertible_to<const torch::nn::Module&>;
    } ||
    requires(const T& holder) {
      { *holder } -> std::convertible_to<const torch::jit::Module&>;
    });

// The module that it holds. Throws InvalidArgument, in the name of `who`, for an empty one.
template <HoldsModule Holder>
const auto& module_in(const Holder& holder, const char* who) {
  if (!static_cast<bool>(holder))
    throw InvalidArgument(std::string(who) +
                          ": the holder of the model is empty; make the model first");
  return *holder;
}

}  // namespace amp
