// OpPolicy: which op runs in which precision under an Autocast, as a value.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amp/export.h"

namespace amp {

class OpPolicy;
namespace op_policy {
struct Table;
}
AMP_API OpPolicy autocast_policy(c10::DeviceType device);  // autocast.h

// What autocast does with the arguments of an op. "Eligible" is a floating-point tensor on the
// region's device that is not fp64; everything else is passed on as it is. out= variants are never
// cast; in-place ones, which torch's lists leave alone, by fast and unified keep what they write.
enum class CastRule : std::uint8_t {
  lower_precision,     // eligible tensors become the region's dtype
  fp32,                // eligible tensors become fp32
  fp32_set_opt_dtype,  // dtype= becomes fp32 if it was left out and the first tensor is eligible
  fp32_append_dtype,   // norm without dtype=: computes and returns fp32 if the tensor is eligible
  promote,             // eligible tensors become the widest of theirs; fp16 with bf16 becomes fp32
  fp32_inside,         // reads low precision, computes in fp32 inside, else (softmax) is cast to fp32
  keep,                // nothing is cast here; ops that it is made of follow their own rules
  banned,              // throws UnsupportedError
};

// A rule for every op that torch's autocast lists on any device, and for ops that are added by name.
// Ops without a rule are passed on untouched. A value: copying is cheap, a copy that is edited leaves
// the original as it was.
//
//   auto policy = amp::OpPolicy::torch(torch::kCUDA).set("softmax", amp::CastRule::keep);
//   amp::Autocast autocast(torch::kCUDA, torch::kHalf, {.policy = policy});
//
// Op names are those of the dispatcher: "softmax.int" is one overload, "conv1d.default" the one
// without a name, "softmax" all of them, "mylib::op" one of a TORCH_LIBRARY; "aten::" may be left
// out.
class AMP_API OpPolicy {
 public:
  // torch's own list for the device, which are two different ones: softmax, layer_norm, exp and sum
  // go to fp32 on CUDA and are not listed on the CPU. UnsupportedError for another device.
  // Source: aten/src/ATen/autocast_mode.{h,cpp}, PyTorch 2.11.
  static OpPolicy torch(c10::DeviceType device);
  // torch's list, but softmax, log_softmax, layer_norm, group_norm and cross_entropy_loss read low
  // precision and compute in fp32 inside (fp32_inside), so that no fp32 copy of an activation is
  // made. All but cross_entropy_loss, which returns fp32, then write low precision too. On the CPU,
  // softmax over another dimension than the last and log_softmax over the last still go to fp32,
  // because LibTorch's kernels round in between; on CUDA, group_norm. embedding, which torch's lists
  // leave in fp32, gives low precision, and with it the sums that it begins (its gradient still adds
  // up in the table's dtype); and on the CPU an LSTM keeps no more than its inputs and outputs for the
  // backward pass. What runs under torch's list runs here, too: ops that torch's list keeps and whose
  // kernels refuse low precision or a mix of dtypes, or round in between, follow fp32_inside or promote,
  // in place, too (index_add_, dot, lerp). The default of Recipe, TrainStep and the program.
  static OpPolicy fast(c10::DeviceType device);
  // One list for every device: CUDA's rule where CUDA's list names the op, else the CPU's;
  // binary_cross_entropy, which CUDA's bans, in fp32; completed as fast() is. What runs on the CPU then
  // is a test of CUDA's numerics.
  static OpPolicy unified();

  // Throws InvalidArgument for a name that no op has (with the nearest) and for a rule that the op
  // cannot follow: fp32_set_opt_dtype needs an argument dtype=, fp32_append_dtype is norm's, and
  // fp32_inside is for the ops that fast() or unified() give it; in-place ops follow it, promote, keep
  // or banned. Then nothing is changed.
  OpPolicy& set(const std::string& op, CastRule rule);

  // keep for an op without a rule. Throws InvalidArgument for a name that no op has, and for one
  // whose overloads differ in their rules.
  CastRule rule(const std::string& op) const;
  // In words, which rule and why; a line for each overload that the name stands for.
  std::string explain(const std::string& op) const;

  // Its base as in JSON, "fast_cpu" for one; ", edited" where rules differ from the base.
  std::string name() const;

  // {"base": "torch_cpu"|"torch_cuda"|"fast_cpu"|"fast_cuda"|"unified", "rules": {op: rule}}; rules
  // holds what differs from the base.
  std::string to_json() const;
  // Throws InvalidArgument for text that is no such object, and what set throws.
  static OpPolicy from_json(const std::string& text);

  // Whether the two have the same rule for every op.
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
