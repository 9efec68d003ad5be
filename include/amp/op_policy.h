// OpPolicy: which op runs in which precision under an Autocast, as a value.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/module_holder.h"

namespace amp {

class OpPolicy;
namespace op_policy {
struct Table;
}
AMP_API OpPolicy autocast_policy(c10::DeviceType device);  // autocast.h

// What autocast does with the arguments of an op. "Eligible" is a floating-point tensor on the
// region's device that is not fp64; everything else is passed on as it is. out= variants are never
// cast. torch's lists leave in-place variants alone; under fast and unified the tensor that an
// in-place op writes stays the same tensor with the same dtype.
enum class CastRule : std::uint8_t {
  lower_precision,     // eligible tensors become the region's dtype
  fp32,                // eligible tensors become fp32
  fp32_set_opt_dtype,  // dtype= becomes fp32 if it was left out and the first tensor is eligible
  fp32_append_dtype,   // norm without dtype=: computes and returns fp32 if the tensor is eligible
  promote,             // eligible tensors become the widest of theirs; fp16 with bf16 becomes fp32
  fp32_inside,  // reads low precision, computes in fp32 inside, else (softmax) is cast to fp32
  keep,         // nothing is cast here; ops that it is made of follow their own rules
  banned,       // throws UnsupportedError
};

// A rule for every op that torch's autocast lists on any device, for ops that are added by name,
// and for modules. Ops without a rule are passed on untouched. A policy is a value: copying is
// cheap, and editing a copy leaves the original as it was.
//
//   auto policy = amp::OpPolicy::torch(torch::kCUDA).set("softmax", amp::CastRule::keep);
//   policy.set_module("blocks.3.*", amp::CastRule::fp32).bind(*model);
//   amp::Autocast autocast(torch::kCUDA, torch::kHalf, {.policy = policy});
//
// Op names are those of the dispatcher: "softmax.int" is one overload, "conv1d.default" the one
// without a name, "softmax" all of them, "mylib::op" one of a TORCH_LIBRARY; "aten::" may be left
// out. A name that users know stands for whatever the module or function of that name calls:
//
//   linear                 also addmm, matmul and mm whose second operand is a parameter or a view of
//                          one, which is what torch::nn::Linear calls. A parameter is a leaf that
//                          requires a gradient; of a model that the policy is bound to, also one that
//                          is frozen; in inference mode, a tensor that was made outside of it
//   conv2d, ...            also convolution and _convolution, which traced modules call, with such a
//                          weight; `conv` is all of them, of one to three dimensions and transposed
//   attention              scaled_dot_product_attention, and what torch::nn::MultiheadAttention calls
//                          (multihead_attention is the same): bmm, baddbmm and matmul of activations
//                          of three or more dimensions, and softmax of three or more. Its projections
//                          are linear's
//   lstm, gru, rnn         all overloads and the cells
//   cross_entropy, nll_loss, layer_norm, pad, upsample, interpolate, grid_sample, bce_loss,
//   bce_with_logits_loss   the ops of that function
//
// explain() lists them. A rule for a name and one for an op of it do not conflict: `linear` holds
// for products with a parameter and `addmm` for the others, whichever was set first.
class AMP_API OpPolicy {
 public:
  // torch's own list for the device. The CPU's and CUDA's differ: softmax, layer_norm, exp and sum
  // go to fp32 on CUDA and are not listed on the CPU. Throws UnsupportedError for another device.
  // Source: aten/src/ATen/autocast_mode.{h,cpp}, PyTorch 2.11.
  static OpPolicy torch(c10::DeviceType device);
  // torch's list, but softmax, log_softmax, layer_norm, group_norm and cross_entropy_loss read low
  // precision and compute in fp32 inside (fp32_inside), so no fp32 copy of an activation is made.
  // They write low precision, too, except cross_entropy_loss, which returns fp32. Some LibTorch
  // kernels round in between, so their ops still go to fp32: on the CPU softmax over another
  // dimension than the last and log_softmax over the last, on CUDA group_norm. embedding, which
  // torch's lists leave in fp32, gives low precision, and so do the sums that begin with it; its
  // gradient still adds up in the table's dtype. On the CPU an LSTM keeps only its inputs and
  // outputs for the backward pass. What runs under torch's list runs here, too: where torch's list
  // keeps an op whose kernel refuses low precision or a mix of dtypes, or rounds in between, the op
  // follows fp32_inside or promote, in place as well (index_add_, dot, lerp). This is the default
  // of Recipe, TrainStep and the program.
  static OpPolicy fast(c10::DeviceType device);
  // One list for every device: CUDA's rule where CUDA's list names the op, else the CPU's.
  // binary_cross_entropy, which CUDA's list bans, runs in fp32. The list is completed as fast() is.
  // A run on the CPU then tests CUDA's numerics.
  static OpPolicy unified();

  // Sets the rule of an op. Throws InvalidArgument for a name that no op has (with the nearest) and
  // for a rule that the op cannot follow: fp32_set_opt_dtype needs an argument dtype=,
  // fp32_append_dtype is for norm, and fp32_inside is for the ops to which fast() or unified() give
  // it. In-place ops can follow fp32_inside, promote, keep or banned. Then nothing is changed.
  OpPolicy& set(const std::string& op, CastRule rule);

  // Sets a rule for modules, which goes before the rules of ops. It holds for every op that has a
  // parameter or buffer of such a module, or a view of one, as an argument, and for every op that a
  // ModuleScope of such a module surrounds. In-place and out= variants, views, casts and factories
  // are never cast. Ops that torch does not list get a kernel for it, so open the first region with
  // such a policy before other threads compute. From then on these ops cost some microseconds more
  // in the regions of this process.
  //
  // pattern: a module's dotted name, in which `*` stands for any text, with dots, and `?` for one
  // character. It means each module whose whole name it matches, with all that is inside:
  // "blocks.3" and "blocks.3.*" are the same, "*.attn" is each attn, "*" is the whole model. Where
  // several patterns mean a module, the one that was set last holds; setting a pattern again moves
  // it to the end. rule: lower_precision, fp32, promote or keep. The model's names come from bind()
  // or a TrainStep; a ModuleScope that was made from a name needs neither. Throws InvalidArgument
  // for another rule, for an empty pattern, and, once a model is bound, for a pattern that means
  // none of its modules. Then nothing is changed.
  OpPolicy& set_module(const std::string& pattern, CastRule rule);

  // Binds the rules to a model: to its modules by name, and to its parameters and buffers by
  // identity. The model may be converted, moved and loaded afterwards. Bind again after a parameter
  // was replaced, or for another model. The policy keeps nothing of the model alive. TrainStep
  // binds its own copy of the policy to the model it is given, unless the policy is bound to
  // something that holds that model. Throws InvalidArgument, with the nearest name, for a pattern
  // that means no module, and for an empty holder. Then nothing is changed.
  OpPolicy& bind(const torch::nn::Module& model);
  OpPolicy& bind(const torch::jit::Module& model);
  template <HoldsModule Holder>
  OpPolicy& bind(const Holder& model) {
    return bind(module_in(model, "OpPolicy"));
  }
  // Whether it has rules that need a model, and is not bound to one with these tensors.
  bool needs_model(const torch::nn::Module& model) const;
  bool needs_model(const torch::jit::Module& model) const;

  // The rule of an op, and keep for an op without one. Rules of modules, and rules of names that
  // depend on a parameter, are left out of account. Throws InvalidArgument for a name that no op
  // has, and for one whose overloads differ in their rules.
  CastRule rule(const std::string& op) const;
  // In words, which rule and why; a line for each overload and op that the name stands for.
  std::string explain(const std::string& op) const;
  // The same for the calls that have this CastCount::by, in one line.
  std::string explain(const std::string& op, const std::string& by) const;
  // Which rule the module of this name has, and why; "" is the model itself.
  std::string explain_module(const std::string& module) const;

  // Its base as in JSON, for example "fast_cpu"; ", edited" follows where rules differ from the
  // base.
  std::string name() const;

  // {"base": "torch_cpu"|"torch_cuda"|"fast_cpu"|"fast_cuda"|"unified", "rules": {op: rule}, "modules":
  // [{"module": pattern, "rule": rule}, ...]}; rules holds what differs from the base, and modules is
  // left out where there are none. from_json also takes an object {pattern: rule}, in the order of the
  // patterns, and applies rules of names before those of single ops.
  std::string to_json() const;
  // Throws InvalidArgument for text that is no such object, and what set throws.
  static OpPolicy from_json(const std::string& text);

  // Whether the two have the same rule for every op and the same rules of modules. What they are
  // bound to does not count.
  bool operator==(const OpPolicy& other) const;

  // The listed ops by name and overload, sorted: torch's, and those that only fast() and unified() name.
  static std::vector<std::string> ops();

 private:
  explicit OpPolicy(std::shared_ptr<const op_policy::Table> table);
  friend class Autocast;
  friend OpPolicy autocast_policy(c10::DeviceType device);
  std::shared_ptr<const op_policy::Table> table_;
};

}  // namespace amp
