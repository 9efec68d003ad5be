// What LibTorch's own attention modules need of autocast beyond the casts of its lists.
#pragma once

#include <ATen/core/Tensor.h>

#include "src/autocast/own_kernel.h"

namespace torch {
class Library;
}

namespace at::_ops {
struct bmm;
}

namespace amp::ops {

// Puts kernels on an autocast key for the two ops at which LibTorch's torch::nn::MultiheadAttention, and with
// it the transformers, throw in bf16 and fp16. Both do so only in a region of ours, under every policy,
// and only where LibTorch throws:
//
// - `view`: the module fills the scores of keys that a key_padding_mask leaves out with -inf, by a
//   switch over fp32 and fp64 alone ("attn_output_weights.masked_fill" not implemented for 'BFloat16').
//   Its first op on such scores is a view of them by batch and head, so that is where they become fp32:
//   the mask, the softmax and the weights that it returns are fp32 then. A view that anyone else takes
//   is as it was: who asks is read off the stack, for views of the last product in that one form.
// - `equal`, by which the module tells self-attention: tensors of two floating dtypes, as a decoder's
//   inputs may be, are compared after exact widening.
void register_attention_module(torch::Library& cpu, torch::Library& cuda);

// Tells `view` of the result of a bmm in a region.
void remember_product(const at::Tensor& product);

}  // namespace amp::ops

namespace amp::autocast {

template <>
struct OwnKernel<at::_ops::bmm> : CastAndCall {
  static void note(const at::Tensor& product) { ops::remember_product(product); }
};

}  // namespace amp::autocast
