// The cast of a weight: data that is kept, and a node of the graph for each use of it.
#include "src/autocast/weight_cast.h"

#include <ATen/ops/t.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/variable.h>

#include <array>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "src/optim/weight_copies.h"

namespace amp::autocast {
namespace {

using torch::autograd::Edge;
using torch::autograd::Node;
using torch::autograd::variable_list;

// The node between a weight, or a view of it, and its cast. Its backward pass is the identity.
class WeightCast final : public Node {
 public:
  explicit WeightCast(Edge to) : Node(torch::autograd::edge_list{std::move(to)}) {}

  variable_list apply(variable_list&& gradients) override {
    auto& gradient = gradients[0];
    if (passes_by_view_ && gradient.defined()) gradient = gradient.t();
    return {std::move(gradient)};
  }
  std::string name() const override { return "WeightCast"; }

  bool pass_by_view() {
    const auto view = next_edges_[0].function;
    if (is_accumulator(view.get())) return true;
    // Two owners are expected: the edge, and `view` here.
    if (view == nullptr || view.use_count() != 2 || !is_transposing(*view) || is_watched(*view))
      return false;
    const auto to = view->next_edge(0);
    if (!is_accumulator(to.function.get())) return false;
    // set_next_edge cannot do this, because it expects the nodes in the order in which they were
    // made. The order still holds: the leaf comes before the view.
    next_edges_[0] = to;
    passes_by_view_ = true;
    return true;
  }

 private:
  static bool is_accumulator(const Node* node) {
    return dynamic_cast<const torch::autograd::AccumulateGrad*>(node) != nullptr;
  }
  static bool is_transposing(const Node& node) {
    const auto name = node.name();
    return node.num_outputs() == 1 && (name == "TBackward0" || name == "TransposeBackward0");
  }
  static bool is_watched(Node& node) {
    return !node.pre_hooks().empty() || !node.post_hooks().empty() ||
           !node.tensor_pre_hooks().empty() || !node.retains_grad_hooks().empty();
  }

  bool passes_by_view_ = false;
};

// A tensor of its own that no graph knows, with the same memory and version counter.
at::Tensor alias_of(const at::Tensor& data, bool transposed) {
  auto* impl = data.unsafeGetTensorImpl();
  at::Tensor alias(impl->shallow_copy_and_detach(impl->version_counter(),
                                                 /*allow_tensor_metadata_change=*/true));
  if (transposed) {
    const std::array sizes = {data.size(1), data.size(0)};
    const std::array strides = {data.stride(1), data.stride(0)};
    alias.unsafeGetTensorImpl()->set_sizes_and_strides(at::IntArrayRef(sizes),
                                                       at::IntArrayRef(strides));
  }
  return alias;
}

}  // namespace

at::Tensor data_of(const at::Tensor& weight, c10::ScalarType dtype, bool* served) {
  auto copy = optim::weight_copies::find(weight, dtype);
  if (served != nullptr) *served = copy.defined();
  if (copy.defined()) return copy;
  copy = weight.detach().to(dtype);
  optim::weight_copies::adopt(weight, copy);
  return copy;
}

at::Tensor use_of(const at::Tensor& tensor, const at::Tensor& data, bool transposed) {
  auto use = alias_of(data, transposed);
  if (!c10::GradMode::is_enabled() || !tensor.requires_grad()) return use;
  std::shared_ptr<WeightCast> node(new WeightCast(torch::autograd::impl::gradient_edge(tensor)),
                                   torch::autograd::deleteNode);
  torch::autograd::create_gradient_edge(use, std::move(node));
  return use;
}

bool is_weight_cast(const Node& node) { return typeid(node) == typeid(WeightCast); }

bool pass_by_view(Node& node) {
  return is_weight_cast(node) && static_cast<WeightCast&>(node).pass_by_view();
}

}  // namespace amp::autocast
