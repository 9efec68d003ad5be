// What a backward pass is going to reach.
#include "src/train_step/backward_graph.h"

#include <ATen/ops/empty.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/functions/tensor.h>
#include <torch/csrc/autograd/variable.h>

#include <cstring>

#include "src/autocast/weight_cast.h"

namespace amp::train_step {

using torch::autograd::AccumulateGrad;
using torch::autograd::CopySlices;
using torch::autograd::Node;

namespace {

// The first word of an object with virtual functions. It has one value for each class, and reading
// it is faster than comparing typeid.
const void* table_of(const Node& node) {
  const void* table = nullptr;
  std::memcpy(&table, static_cast<const void*>(&node), sizeof(table));
  return table;
}

// The start of the library that holds this address; null if none does.
const void* library_of(const void* address) {
  Dl_info info{};
  return dladdr(address, &info) == 0 ? nullptr : info.dli_fbase;
}

const void* own_library() {
  static const char here = 0;
  static const void* const library = library_of(&here);
  return library;
}

const void* torch_library() {
  static const void* const library = [] {
    const auto leaf = at::empty({0}).set_requires_grad(true);
    return library_of(table_of(*torch::autograd::impl::grad_accumulator(leaf)));
  }();
  return library;
}

bool has_hooks(Node& node) {
  return !node.pre_hooks().empty() || !node.post_hooks().empty() ||
         !node.tensor_pre_hooks().empty() || node.tensor_post_acc_grad_hooks() != nullptr;
}

}  // namespace

const at::Tensor& BackwardGraph::Leaf::variable() const { return accumulator->variable; }

// A class that was compiled into neither library is foreign, whatever its name is.
BackwardGraph::Kind BackwardGraph::kind_of(const Node& node) {
  const auto* table = table_of(node);
  if (const auto found = kinds_.find(table); found != kinds_.end()) return found->second;
  auto kind = Kind::plain;
  if (dynamic_cast<const AccumulateGrad*>(&node) != nullptr) {
    kind = Kind::accumulator;
  } else if (autocast::is_weight_cast(node)) {
    kind = Kind::weight_cast;
  } else if (dynamic_cast<const CopySlices*>(&node) != nullptr) {
    kind = Kind::copy_slices;
  } else if (const auto* library = library_of(table);
             library == nullptr || (library != torch_library() && library != own_library())) {
    kind = Kind::foreign;
  }
  kinds_.emplace(table, kind);
  return kind;
}

void BackwardGraph::enter(Node* node, Kind from) {
  const auto [place, is_new] = seen_.emplace(node, 0);
  if (is_new) {
    const auto kind = kind_of(*node);
    if (kind == Kind::accumulator) {
      leaves_.push_back({static_cast<AccumulateGrad*>(node), 0, true});
      place->second = static_cast<std::uint32_t>(leaves_.size());
    }
    open_.emplace_back(node, kind);
  }
  if (place->second == 0) return;
  auto& leaf = leaves_[place->second - 1];
  ++leaf.edges;
  leaf.casts_only = leaf.casts_only && from == Kind::weight_cast;
}

void BackwardGraph::look_at(Node& node, Kind kind) {
  bool foreign = kind == Kind::foreign || has_hooks(node);
  // The function that wrote to a view is a member of this node, and not among its edges.
  if (kind == Kind::copy_slices) {
    const auto& inner = static_cast<const CopySlices&>(node).fn;
    foreign = foreign || (inner != nullptr && kind_of(*inner) == Kind::foreign);
  }
  runs_foreign_code_ = runs_foreign_code_ || foreign;
  if (pass_views_ && kind == Kind::weight_cast) autocast::pass_by_view(node);
  for (const auto& edge : node.next_edges()) {
    if (edge.is_valid()) enter(edge.function.get(), kind);
  }
}

void BackwardGraph::walk(const at::Tensor& root, bool pass_views) {
  clear();
  pass_views_ = pass_views;
  enter(torch::autograd::impl::gradient_edge(root).function.get(), Kind::plain);
  while (!open_.empty()) {
    const auto [node, kind] = open_.back();
    open_.pop_back();
    look_at(*node, kind);
  }
}

void BackwardGraph::clear() {
  seen_.clear();
  open_.clear();
  leaves_.clear();
  runs_foreign_code_ = false;
}

}  // namespace amp::train_step
