// The gradients that were there before a call that may fail.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/flat_hash_map.h>

#include <vector>

namespace amp::train_step {

class BackwardGraph;

// Keeps the gradients of parameters as they are, so that a call that fails can put them back, to the
// bit. Where there are none this costs nothing. A gradient on the CPU is copied only once somebody
// writes to it; elsewhere at once.
class KeptGradients {
 public:
  // Which parameters: of those that come twice the first. The optimizer steps the first `stepped`.
  void watch(const std::vector<at::Tensor>& parameters, std::size_t stepped);
  bool is_stepped(const at::Tensor& parameter) const;

  void keep();                             // those of now
  void keep_leaves(const BackwardGraph&);  // of the leaves that are not watched, until `drop`
  void put_back();
  void drop();

  // Takes the gradients that the backward pass would add to out of its way, and adds them to what it
  // has brought: old + new, as the pass itself does in place, but the old ones stay what they were.
  void move_aside(const BackwardGraph& graph);
  // Before somebody writes to those that are in their places: out of memory in LibTorch's own copy on write
  // leaves both owners of the memory unusable.
  void copy_shared();
  void add_what_was_moved();

 private:
  struct Kept {
    at::Tensor parameter;
    at::Tensor gradient = {};  // the tensor that was there; undefined: none
    at::Tensor copy = {};      // its values
    at::Tensor aside = {};
  };
  void keep(Kept& kept) const;

  std::vector<Kept> kept_;
  std::size_t watched_ = 0;  // of them; the others are for one call
  std::size_t stepped_ = 0;
  ska::flat_hash_map<const c10::TensorImpl*, std::size_t> places_;
};

}  // namespace amp::train_step
