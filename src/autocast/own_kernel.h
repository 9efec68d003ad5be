// Where an op that Ampersand computes itself, or treats otherwise than by a cast, takes a call over.
#pragma once

#include <ATen/core/Tensor.h>

#include "amp/op_policy.h"
#include "src/autocast/casts.h"
#include "src/autocast/region.h"

namespace amp::autocast {

// What every op does unless it says otherwise: its arguments are cast and LibTorch's kernel is called.
struct CastAndCall {
  // Whether the CPU's kernel may meet a mix of dtypes that it refuses; such a call goes by `promote`.
  static constexpr bool lets_dtypes_mix = true;

  // The rule in the place of `rule` for these arguments. `keep` passes the call on below autocast's key.
  template <typename... Args>
  static CastRule rule(CastRule rule, c10::DeviceType, const Region*, const Args&...) {
    return rule;
  }
};

// A file of src/ops/ specialises this for an op, and may add:
//
//   // Computes the op by the rules of which `computes` is true. to_low: casts to the region's low precision.
//   static constexpr bool computes(CastRule rule, c10::DeviceType device);
//   static Ret run(const Casts& to_low, args...);
//
//   // What the arguments are cast to where rule() answers `keep` to the rule `given`.
//   static constexpr c10::ScalarType dtype_to_pass_on(CastRule given, c10::DeviceType device);
//
//   // Sees the result of a call that was cast, in a region of ours.
//   static void note(const Ret& result);
//
// A specialisation must be seen by the file that registers the op: src/ops/own_kernels.h names them all.
template <typename AtOp>
struct OwnKernel : CastAndCall {};

template <typename AtOp>
inline constexpr bool has_own_computation = requires {
  &OwnKernel<AtOp>::run;
};

}  // namespace amp::autocast
