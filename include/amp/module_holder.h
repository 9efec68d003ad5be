// What a model can be passed in, besides the module itself: a holder of torch::nn, a pointer, an
// optional.
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

// torch::nn::Linear, TORCH_MODULE's holders, and std::shared_ptr, std::unique_ptr and plain
// pointers to a module, also one of TorchScript: whatever gives a module by `*holder`. The module
// of a const holder is not const.
template <typename Holder>
concept HoldsModule = requires(const Holder& holder) {
  static_cast<bool>(holder);
  requires std::convertible_to<decltype(*const_cast<Holder&>(holder)), const torch::nn::Module&> ||
      std::convertible_to<decltype(*const_cast<Holder&>(holder)), const torch::jit::Module&>;
};

// The module that the holder holds. Throws InvalidArgument, with `who` at the beginning, for an
// empty one.
template <HoldsModule Holder>
decltype(auto) module_in(const Holder& holder, const char* who) {
  if (!static_cast<bool>(holder))
    throw InvalidArgument(std::string(who) +
                          ": the holder of the model is empty; make the model first");
  return *const_cast<Holder&>(holder);
}

}  // namespace amp
