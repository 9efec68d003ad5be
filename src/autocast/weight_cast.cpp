// The cast of a weight.
#include "src/autocast/weight_cast.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <typeinfo>

#include "src/optim/weight_copies.h"

namespace amp::autocast {
namespace {

// From the weight to its copy: the identity, but for the dtype.
struct FromWeight : torch::autograd::Function<FromWeight> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& /*weight*/,
                            const at::Tensor& copy) {
    return copy.detach();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

}  // namespace

at::Tensor cast_of(const at::Tensor& weight, c10::ScalarType dtype, bool* served) {
  const c10::AutoGradMode record(true);
  auto copy = optim::weight_copies::find(weight, dtype);
  if (served != nullptr) *served = copy.defined();
  if (!copy.defined()) {
    if (!optim::weight_copies::is_owned(weight)) return weight.to(dtype);
    copy = weight.detach().to(dtype);
    optim::weight_copies::adopt(weight, copy);
  }
  return FromWeight::apply(weight, copy);
}

bool is_weight_cast(const torch::autograd::Node& node) {
  return typeid(node) == typeid(torch::autograd::CppNode<FromWeight>);
}

bool pass_by_view(torch::autograd::Node& node) { return is_weight_cast(node); }

}  // namespace amp::autocast
