// The passes of a step over the parameters that the kernels take.
#pragma once

#include <vector>

#include "src/optim/algorithm.h"
#include "src/optim/entry.h"

namespace amp::optim {

// Keeps its memory from step to step: after the first, none of this allocates.
class KernelStep {
 public:
  // Looks at the gradients of the entries that are by_kernels. go_back: the unscaled gradients will
  // be stored, or would be.
  kernels::Examined examine(const std::vector<Entry>& entries, float inv_scale, bool go_back);
  // Adds the parameters in whose gradients `examine` has just found Inf or NaN.
  void add_non_finite(const std::vector<Entry>& entries, std::vector<at::Tensor>& parameters) const;
  // Leaves gradient * inv_scale where the entries want it.
  void unscale(const std::vector<Entry>& entries, float inv_scale);

  // An update: begin, add each parameter with its state and copy, run.
  void begin(Algorithm& algorithm, float inv_scale, float clip);
  void add(Algorithm& algorithm, const OptimizerOptions& options, const Entry& entry,
           const at::Tensor& copy);
  void run(Algorithm& algorithm) { algorithm.run(operands_, chunks_); }

 private:
  void cut(const std::vector<Entry>& entries);

  tensor_lists::ChunkList chunks_;
  std::vector<tensor_lists::Operands> operands_;
  std::vector<kernels::Examined> examined_;
  std::vector<bool> in_bf16_;  // where the unscaled gradients are or would be
  float inv_scale_ = 1, clip_ = 1;
};

}  // namespace amp::optim
