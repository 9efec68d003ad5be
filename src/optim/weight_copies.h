// Low-precision copies of fp32 weights: the step that updates a weight writes them, autocast uses
// them, and so the forward pass never casts a weight.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace amp::optim::weight_copies {

// While it lives, an optimizer of ours steps this fp32 parameter; several optimizers may. Only
// parameters that are owned have a copy, and only after somebody asked for one.
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

// Parameters can be changed without a trace. On the CPU, under WeightChecks::whole, the first
// find() of a copy after the thread's last begin_checks() compares it with the whole parameter, and
// sees every change before that. It is called when a region opens, when a micro-batch or scope
// begins and when optimizers step. It also ends the casts that a thread keeps of other weights. It
// is cheap, because it looks at nothing itself.
void begin_checks();
// checks_begun() is the time of this thread's last begin_checks(), on a clock of the process that
// moves with each such call; clock() is the time now.
std::uint64_t checks_begun();
std::uint64_t clock();

// The copy in this dtype, if it is a copy of the parameter as it is now; otherwise undefined. On
// the CPU this is certain up to the thread's last begin_checks(), and after that as far as
// WeightState can see; on a GPU WeightState is all there is. If there is no copy and the parameter
// is owned, the steps from now on write one. With AMP_CHECK_COPIES=1 in the environment the copy is
// compared whole with a fresh cast each time, and StateError is thrown if they differ: then the
// parameter was written without a trace. Only that comparison waits for the device.
at::Tensor find(const at::Tensor& parameter, c10::ScalarType dtype);

// Takes a cast of the parameter as it is now as the copy; its memory may be shared. Does nothing if
// nobody owns the parameter.
void adopt(const at::Tensor& parameter, const at::Tensor& cast);

// copy_to_write() is the tensor into which the step writes the rounded weight, with the parameter's
// strides; undefined if nobody wants a copy. It is never memory that somebody else holds too, such
// as a graph. The copy is not valid until written() says that weight and copy were written and the
// parameter's version was raised. Neither allocates once there is a copy, unless a graph holds it.
at::Tensor copy_to_write(const at::Tensor& parameter);
void written(const at::Tensor& parameter);

// The copy, current or not; undefined if there is none. Use it only to look at it.
at::Tensor peek(const at::Tensor& parameter);

// The bytes of the copy, current or not; 0 if there is none.
std::int64_t bytes_of(const at::Tensor& parameter);

// Drops the copy: the parameter was changed without a trace. The next cast is adopted again.
void forget(const at::Tensor& parameter);

}  // namespace amp::optim::weight_copies
