// What a backward pass is going to reach.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/flat_hash_map.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace torch::autograd {
struct AccumulateGrad;
struct Node;
}  // namespace torch::autograd

namespace amp::train_step {

// The graph behind a tensor, walked once from its root, as the autograd engine does before it
// begins. The object keeps its memory from walk to walk.
class BackwardGraph {
 public:
  struct Leaf {
    torch::autograd::AccumulateGrad* accumulator;  // alive while the root is
    std::uint32_t edges;                           // that bring it a gradient
    bool casts_only;                               // each from a cast of ours of the leaf
    const at::Tensor& variable() const;
  };

  // pass_views: lets a use of the transposed view of a weight lead to the weight itself, if nobody
  // can tell the difference.
  void walk(const at::Tensor& root, bool pass_views);
  void clear();

  const std::vector<Leaf>& leaves() const { return leaves_; }
  // Whether foreign code, neither LibTorch's nor ours, runs in the pass: hooks, custom functions.
  // Such code can look at any gradient, and begin a backward pass of its own.
  bool runs_foreign_code() const { return runs_foreign_code_; }

 private:
  enum class Kind : std::uint8_t { plain, weight_cast, accumulator, copy_slices, foreign };
  Kind kind_of(const torch::autograd::Node& node);
  void enter(torch::autograd::Node* node, Kind from);
  void look_at(torch::autograd::Node& node, Kind kind);

  ska::flat_hash_map<const void*, Kind> kinds_;  // by virtual table: one for each class
  ska::flat_hash_map<torch::autograd::Node*, std::uint32_t> seen_;  // the leaf's number, or 0
  std::vector<std::pair<torch::autograd::Node*, Kind>> open_;
  std::vector<Leaf> leaves_;
  bool pass_views_ = false, runs_foreign_code_ = false;
};

}  // namespace amp::train_step
