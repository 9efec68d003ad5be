// One step over all parameters of an optimizer: which passes it takes, and in what order.
#pragma once

#include <vector>

#include "amp/optim.h"
#include "src/optim/aten_step.h"
#include "src/optim/check_parameters.h"
#include "src/optim/kernel_step.h"

namespace amp::optim {

using States = ska::flat_hash_map<void*, std::unique_ptr<torch::optim::OptimizerParamState>>;

struct StepRequest {
  at::Tensor inv_scale;  // undefined: 1
  at::Tensor found_inf;  // known from elsewhere; undefined: not known
  double max_grad_norm = 0;
  bool give_back = false;
  bool update = true;  // else only the first pass
};

class Step {
 public:
  StepOutcome run(Algorithm& algorithm, Groups& groups, States& states, const StepRequest& request);
  // Takes over what the groups hold, if that is not known yet. Throws InvalidArgument by name.
  void know_parameters(const Algorithm& algorithm, Groups& groups, States& states);
  void forget() { slots_.clear(); }  // after states were replaced
  const std::vector<at::Tensor>& non_finite() const { return non_finite_; }

 private:
  // What the first pass decides for the second. Each value is there for the host and for the
  // device.
  struct Decision {
    float inv_scale = 1, clip = 1;
    at::Tensor clip_there;  // undefined: 1
    at::Tensor flag;        // other than 0: skip; undefined: do not
  };

  StepOutcome look(float inv_scale, bool go_back);
  Decision decide(const StepRequest& request, const StepOutcome& seen, float inv_scale);
  void prepare(const Algorithm& algorithm, Groups& groups, States& states, bool kernels_too);
  void update_by_kernels(Algorithm& algorithm, Groups& groups, const Decision& decision);
  void update_by_aten(Algorithm& algorithm, Groups& groups, const at::Tensor& flag);
  void give_back(const StepRequest& request, const Decision& decision);
  ParameterState& state_of(Slot& slot, const Algorithm& algorithm, const OptimizerOptions& options,
                           States& states);

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  bool any_by_kernels_ = false;
  KernelStep kernels_;
  AtenStep aten_;
  std::vector<at::Tensor> non_finite_;  // the parameters that the last look found
  double norm_on_host_ = 0;  // of the last look; with gradients by ATen, what the kernels saw of it
  at::Tensor norm_there_;    // of all, in fp64, if some are by ATen
  at::Tensor norm_, flag_;   // the last results: used again if nobody holds them
};

}  // namespace amp::optim
