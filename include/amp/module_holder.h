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

// torch::nn::Linear, TORCH_MODULE's holders, std::shared_ptr, std::unique_ptr and plain pointers of a
// module, of TorchScript's too: whatever `*holder` makes a module of. A const holder holds no const
// module.
template <typename Holder>
concept HoldsModule = requires(const Holder& holder) {
  static_cast<bool>(holder);
  requires std::convertible_to<decltype(*const_cast<Holder&>(holder)), const torch::nn::Module&> ||
      std::convertible_to<decltype(*const_cast<Holder&>(holder)), const torch::jit::Module&>;
};

// The module that it holds. Throws InvalidArgument, in the name of `who`, for an empty one.
template <HoldsModule Holder>
decltype(auto) module_in(const Holder& holder, const char* who) {
  if (!static_cast<bool>(holder))
    throw InvalidArgument(std::string(who) +
                          ": the holder of the model is empty; make the model first");
  return *const_cast<Holder&>(holder);
}

}  // namespace amp
