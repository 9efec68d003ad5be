// The passes of a step over the parameters that ATen takes: what lies on a GPU, and fp64.
#pragma once

#include <vector>

#include "src/optim/algorithm.h"
#include "src/optim/check_parameters.h"
#include "src/optim/entry.h"

namespace amp::optim {

// Nothing here waits for the device: what depends on the overflow flag is chosen on the device. A
// GPU gets few calls over lists of tensors, because starting a kernel for one tensor takes longer
// than running it.
class AtenStep {
 public:
  struct Item {
    Entry* entry;
    at::Tensor gradient;  // in the dtype of the arithmetic, dense
    bool own;             // it may be written: it is not the parameter's `.grad`
  };

  // Unscales the gradients of the entries that are not by_kernels into tensors of its own.
  // inv_scale may be undefined.
  void begin(std::vector<Entry>& entries, const at::Tensor& inv_scale);
  void end() { items_.clear(); }
  bool empty() const { return items_.empty(); }

  // norm: fp64, 0-dim, the gradients' global L2 norm. non_finite: bool, 0-dim, whether a gradient
  // is Inf or NaN, or would be in the dtype in which it is stored.
  struct Seen {
    at::Tensor norm, non_finite;
  };
  Seen look(bool go_back) const;
  // Adds the parameters on the CPU whose gradients are not finite. This takes a pass of its own.
  void add_non_finite(std::vector<at::Tensor>& parameters, bool go_back) const;
  // Multiplies the gradients by a 0-dim tensor.
  void clip(const at::Tensor& factor) { multiply(factor); }

  // Updates every parameter, whose slot has a state with all its buffers. skip: bool, 0-dim: changes
  // nothing if true; undefined is false.
  void update(const Algorithm& algorithm, const Groups& groups, const at::Tensor& skip) const;
  void give_back(const at::Tensor& factor);

  std::size_t size() const { return items_.size(); }
  Entry& entry(std::size_t item) const { return *items_[item].entry; }

 private:
  void multiply(const at::Tensor& factor);

  std::vector<Item> items_;
  bool scaled_ = false;  // there is an inv_scale
};

}  // namespace amp::optim
