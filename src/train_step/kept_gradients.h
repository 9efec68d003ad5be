// The gradients that were there before a call that may fail.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/flat_hash_map.h>

#include <vector>

namespace amp::train_step {

class BackwardGraph;

// Keeps the gradients of parameters, so that a failed call can put them back bit for bit. It costs
// nothing where there are none. A gradient on the CPU is copied only when somebody writes to it;
// elsewhere it is copied at once.
class KeptGradients {
 public:
  // Says which parameters to keep; of one that comes twice the first counts. The optimizer steps
  // the first `stepped` of them.
  void watch(const std::vector<at::Tensor>& parameters, std::size_t stepped);
  bool is_stepped(const at::Tensor& parameter) const;

  void keep();                             // those of now
  void keep_leaves(const BackwardGraph&);  // of the leaves that are not watched, until `drop`
  void put_back();
  void drop();

  // move_aside takes away the gradients that the backward pass would add to; add_what_was_moved
  // adds them to the new ones. The sum old + new is what the pass itself computes in place, but the
  // old gradients stay unchanged.
  void move_aside(const BackwardGraph& graph);
  // Copies gradients that share memory, before somebody writes to them. If LibTorch's own copy on
  // write ran out of memory, both owners of the memory would be unusable.
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
