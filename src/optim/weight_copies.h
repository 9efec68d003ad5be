// Low-precision copies of fp32 weights: the step that updates a weight writes them, autocast uses
// them, and so the forward pass never casts a weight.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace amp::optim::weight_copies {

// While it lives, an optimizer of ours steps this fp32 parameter; several may. Only parameters that are
// owned have a copy, and only once one was wanted.
class Ownership {
 public:
  Ownership() = default;  // of none
  explicit Ownership(const at::Tensor& parameter);
  ~Ownership();
  Ownership(Ownership&& other) noexcept : parameter_(std::move(other.parameter_)) {}
  Ownership& operator=(Ownership&& other) noexcept {
    std::swap(parameter_, other.parameter_);
    return *this;
  }

 private:
  at::Tensor parameter_;
};

bool is_owned(const at::Tensor& parameter);

// Parameters can be changed without a trace. On the CPU, under WeightChecks::whole, the first find()
// of a copy after the thread's last begin_checks() compares it with the whole parameter, and all that
// was changed before that is seen. Called where a region opens, a micro-batch or scope begins and
// optimizers step; the casts that a thread keeps of other weights end with it, too. Cheap: nothing is
// looked at here.
void begin_checks();
// When this thread did so last, on a clock of the process that moves with each such call; and what
// that clock shows.
std::uint64_t checks_begun();
std::uint64_t clock();

// The copy in this dtype, if it is one of the parameter as it is now: on the CPU for certain as of the
// thread's last begin_checks(), and since then by all that WeightState can see, which is all there is on
// a GPU. Otherwise undefined, and if the parameter is owned the steps from now on write one. With
// AMP_CHECK_COPIES=1 in the environment the copy is compared whole with a fresh cast each time, and
// StateError thrown if it is none: the parameter was then written without a trace. Does not wait for
// the device but in that case.
at::Tensor find(const at::Tensor& parameter, c10::ScalarType dtype);

// Takes a cast of the parameter as it is now; its memory may be shared. Nothing if nobody owns it.
void adopt(const at::Tensor& parameter, const at::Tensor& cast);

// Where the step writes the rounded weight: with the parameter's strides; undefined if none is
// wanted. Never memory that somebody else holds too, a graph for one. The copy is none until
// written() says that weight and copy were, and the parameter's version raised. Neither allocates
// once there is a copy, unless a graph holds it.
at::Tensor copy_to_write(const at::Tensor& parameter);
void written(const at::Tensor& parameter);

// The copy, current or not; undefined if there is none. For looking at alone.
at::Tensor peek(const at::Tensor& parameter);

// Of the copy, current or not; 0 if there is none.
std::int64_t bytes_of(const at::Tensor& parameter);

// Drops the copy: the parameter was changed without a trace. The next cast is adopted again.
void forget(const at::Tensor& parameter);

}  // namespace amp::optim::weight_copies
