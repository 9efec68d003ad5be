// GPT-2's published weights: their names and layout, to and from a Gpt.
#pragma once

#include "amp/train_step.h"
#include "tasks/text/gpt.h"

namespace ampersand {

// GPT-2 keeps its matrices as [in, out], where a Gpt, whose weights have the same names, has [out, in]; and the
// one that makes queries, keys and values is not square.
bool is_gpt2_layout(const amp::NamedTensors& weights);

// The parameters as GPT-2's safetensors files have them: "wte.weight", "h.0.attn.c_attn.weight" and
// so on, the matrices c_attn, c_proj and c_fc as [in, out]. An output that is not tied is
// "lm_head.weight". Contiguous copies on the CPU, in the parameters' dtype. Waits for the device.
amp::NamedTensors gpt2_weights(const Gpt& model);

// Copies such weights into the model, converted to its dtype and device. Names may begin with
// "transformer."; the masks that some files hold ("h.0.attn.bias", "h.0.attn.masked_bias") are passed
// over, and so is an "lm_head.weight" that is the same as the tied "wte.weight". Throws
// amp::InvalidArgument naming the tensor that is missing, there twice, not of this model, of another
// shape, not floating-point, or an output that differs from the embedding it should be tied to; then
// nothing is changed.
void load_gpt2_weights(Gpt& model, const amp::NamedTensors& weights);

}  // namespace ampersand
