// Casting arguments, and the thread's cache of cast weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/precision/format.h"

namespace amp::autocast {

// `tensor` in `dtype`, the tensor itself if it has it already. An fp32 leaf that requires a gradient,
// or the transposed view of one (as torch::nn::Linear makes of its weight), is cast once in a region
// and served from the cache, each time with a node of its own for the gradient (weight_cast.h), for as
// long as nothing of these has changed: the tensor, its version, its memory, sizes and strides, and on
// the CPU 32 elements spread over it, as bits. The version alone is not enough: C++ SGD, `.data()` and
// set_data change a weight and leave it. A copy that outlives regions is compared whole, once in each
// (weight_copies.h). Tensors of inference mode, of functorch and of Python subclasses, those with a
// forward-mode tangent, and casts on threads without an Autocast of their own, are not kept.
// Sets `served`, if given, to whether it was there already: in the cache, or as the copy that an
// optimizer of ours wrote.
at::Tensor cached_cast(c10::ScalarType dtype, const at::Tensor& tensor, bool* served = nullptr);

// The same in fp32, rounded to a format as Emulation says.
at::Tensor cached_rounding(Format format, const at::Tensor& tensor, bool* served = nullptr);

// Whether a tensor has memory of its own that nobody has to be told of: it is none of inference mode,
// functorch or a Python subclass, has no forward-mode tangent, and no tracer is at work.
bool is_plain(const at::Tensor& tensor);

// Between the outermost Autocast of the thread and its end casts are kept; at its end all are
// dropped.
void enter_region();
void leave_region();

// Of this thread, LibTorch's own too; and what changed until now is seen by the next use of a weight.
void clear_casts();
void forget_casts_of(const at::Tensor& tensor);  // of this thread

}  // namespace amp::autocast
