// One step over all parameters of an optimizer: which passes it takes, and in what order.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "amp/optim/scaled_step.h"
#include "src/optim/update_backend.h"

namespace amp::optim {

struct StepRequest {
  at::Tensor inv_scale;  // fp32, one element; undefined: 1
  at::Tensor found_inf;  // known from elsewhere; undefined: not known
  double max_grad_norm = 0;
  bool give_back = false;
  bool update = true;  // else only the first pass
};

class Step {
 public:
  StepOutcome run(const OptimizerParts& optimizer, const StepRequest& request);
  // Takes over what the groups hold, if it is not what they held before. Throws InvalidArgument by
  // name.
  void track_parameters(const OptimizerParts& optimizer);
  void forget_parameters() { slots_.clear(); }  // after states were replaced
  // The parameters on the CPU in which the last first pass found Inf or NaN.
  const std::vector<at::Tensor>& non_finite() const { return findings_.parameters; }

 private:
  void share_out_entries();
  void forget_entries();
  StepOutcome examine(bool gives_back);
  void update(const OptimizerParts& optimizer, const StepRequest& request,
              const StepOutcome& outcome);

  // In the order in which they are asked whether they take a parameter. The last takes every one.
  std::array<std::unique_ptr<UpdateBackend>, 2> backends_{kernel_backend(), aten_backend()};
  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  std::vector<UpdateBackend*> active_;  // those that have an entry, in the same order
  Findings findings_;                   // of the last first pass
  at::Tensor norm_, flag_;              // the last results: used again if nobody holds them
};

}  // namespace amp::optim
