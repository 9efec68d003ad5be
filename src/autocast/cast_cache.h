// Casting arguments, and the thread's cache of cast weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/precision/format.h"

namespace amp::autocast {

// Returns `tensor` in `dtype`, or the tensor itself if it has that dtype already. A weight is an
// fp32 leaf that requires a gradient, or the transposed view of one (torch::nn::Linear makes one).
// It is cast once in a region and then served from the cache, each time with a node of its own for
// the gradient (weight_cast.h), while none of these changes: the tensor, its version, its memory,
// sizes and strides, and on the CPU the bits of 32 elements spread over it. The version alone is
// not enough: C++ SGD, `.data()` and set_data change a weight and leave the version. A copy that
// outlives regions is compared whole, once in each (weight_copies.h). Not kept are casts of tensors
// of inference mode, of functorch and of Python subclasses, of those with a forward-mode tangent,
// and casts on threads without an Autocast of their own. Sets `served`, if given, to whether the
// cast was there already: in the cache, or as the copy that an optimizer of ours wrote.
at::Tensor cached_cast(c10::ScalarType dtype, const at::Tensor& tensor, bool* served = nullptr);

// The same, but the tensor stays fp32 and is rounded to a format as Emulation says.
at::Tensor cached_rounding(Format format, const at::Tensor& tensor, bool* served = nullptr);

// Whether a tensor is plain: not of inference mode, functorch or a Python subclass, without a
// forward-mode tangent, and no tracer is at work. Nobody has to be told what is done with its
// memory.
bool is_plain(const at::Tensor& tensor);

// Casts are kept while the outermost Autocast of the thread lives; at its end all are dropped.
void enter_region();
void leave_region();

// Drops all casts of this thread, LibTorch's own too. The next use of a weight sees what changed
// until now.
void clear_casts();
void forget_casts_of(const at::Tensor& tensor);  // of this thread

}  // namespace amp::autocast
