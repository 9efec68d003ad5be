// What computes a step: the library's own kernels are one backend, ATen is the other.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "src/optim/algorithm.h"
#include "src/optim/check_parameters.h"
#include "src/optim/entry.h"

namespace amp::optim {

// The optimizer that is stepped.
struct OptimizerParts {
  Algorithm& algorithm;
  Groups& groups;
  States& states;

  const OptimizerOptions& options(const Slot& slot) const { return groups[slot.group].options(); }
};

// What the backends find in the gradients. The host knows some of it as numbers. The rest are 0-dim
// tensors, perhaps on a device that nobody has waited for.
struct Findings {
  std::optional<double> sum_of_squares;  // without it the host knows of no gradient
  bool non_finite = false;
  at::Tensor norm_tensor;              // fp64; undefined: the host knows everything
  at::Tensor non_finite_tensor;        // bool
  std::vector<at::Tensor> parameters;  // on the CPU, with Inf or NaN in their gradients

  double norm() const;  // of the tensor, for which it may wait, or else of the host's sum
};

// What follows from the findings. The first function of a pair gives a number, for which it may wait
// for the device; the second gives the same as a 0-dim tensor, without waiting.
class Decision {
 public:
  // flag: fp32, one element; other than 0: the update is skipped; undefined: it is not. max_norm: 0
  // does not clip.
  Decision(const at::Tensor& flag, double max_norm, const Findings& findings)
      : flag_(flag), max_norm_(max_norm), findings_(findings) {}

  bool skips() const;
  at::Tensor skip_tensor() const;  // bool; undefined: false
  // The factor by which gradients are clipped; 1 if the update is skipped.
  float clip() const;
  at::Tensor clip_tensor() const;  // fp32; undefined: 1

 private:
  at::Tensor flag_;
  double max_norm_;
  const Findings& findings_;
  mutable std::optional<bool> skips_;  // the flag is read once
};

// A step calls these functions in the order in which they stand here, on every backend that has an
// entry. Up to prepare() no parameter, state or gradient is changed.
class UpdateBackend {
 public:
  virtual ~UpdateBackend() = default;

  // Takes the entry if this backend can update its parameter, and returns whether it did. The entry
  // stays where it is until clear().
  virtual bool add(Entry& entry) = 0;
  virtual bool empty() const = 0;
  // Brings the gradients into the form that this backend computes with. inv_scale may be undefined.
  virtual void begin(const at::Tensor& inv_scale) = 0;
  // Finds the norm of the unscaled gradients, and whether one is Inf or NaN, or would be in the dtype
  // in which it is stored. gives_back: they are to be stored in `.grad`.
  virtual void examine(bool gives_back, Findings& findings) = 0;
  // Clips, and allocates the states and copies that update() writes.
  virtual void prepare(const OptimizerParts& optimizer, const Decision& decision) = 0;
  virtual void update(const OptimizerParts& optimizer) = 0;
  // Leaves the gradients that were used in `.grad` where their entries ask for it.
  virtual void give_back() = 0;
  // Forgets the entries.
  virtual void clear() = 0;
};

// Takes fp32, fp16 and bf16 on the CPU. Keeps its memory from step to step: after the first, none
// of its passes allocates.
std::unique_ptr<UpdateBackend> kernel_backend();
// Takes everything, and so what lies on a GPU, and fp64. Never waits for the device: what depends on
// the overflow flag is chosen there.
std::unique_ptr<UpdateBackend> aten_backend();

// Gives the slot a state with all the buffers that an update needs, and a copy to write if its
// parameter has one.
void prepare_slot(Slot& slot, const OptimizerParts& optimizer);
// Tells autograd, the slot's state and the users of the copy that parameter and copy were written.
void note_write(Slot& slot);

}  // namespace amp::optim
