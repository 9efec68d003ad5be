// What a short training in fp32 tells about the formats that it did not use.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amp/inspect/records.h"
#include "amp/op_policy.h"

namespace ampersand {

// An op whose numbers come near the end of fp16's range, or go beyond it.
struct NarrowOp {
  std::string op, module;   // as a policy takes it
  double amax = 0;          // the largest |x| of its inputs, if fp16 would cast them, and outputs
  bool is_product = false;  // one that low precision is for: in fp32 the gain is gone
};

// What a format with a scale for each tensor would lose, over all tensors of a kind.
struct ScaledLoss {
  std::string format;
  double flushed = 0;  // share of the numbers other than zero that become zero
  double worst = 0;    // the same of the tensor that loses most
  std::string where;   // and its module or parameter
};

struct Ranges {
  // Room is left for a training that goes on: numbers may grow kRoom-fold.
  static constexpr double kForwardRoom = 2, kGradientRoom = 4;

  std::vector<NarrowOp> too_wide;  // of the forward pass, for fp16
  double forward_amax = 0;
  double gradient_amax = 0;  // of the gradients that would be fp16
  // A power of two, or nothing where even a scale of 1 is too large.
  std::optional<double> initial_scale;
  double flushed_unscaled = 0, flushed_scaled = 0;  // shares of the gradients, in fp16
  ScaledLoss weights, activations, gradients;       // in e4m3, e4m3 and e5m2

  bool fits_fp16() const;
};

// ops: of a training in fp32 without loss scaling. Under `policy`, ops that run in fp32 keep their range.
Ranges find_ranges(const std::vector<amp::OpSummary>& ops,
                   const std::vector<amp::ParameterRecord>& parameters,
                   const amp::OpPolicy& policy);

nlohmann::json ranges_json(const Ranges& ranges);

// The rule of the op; keep for one that the policy does not know.
amp::CastRule rule_of(const amp::OpPolicy& policy, const amp::OpSummary& op);
// The name that the policy knows it by: what the model called, if that has a rule, or else the op.
std::string policy_name(const amp::OpPolicy& policy, const amp::OpSummary& op);

}  // namespace ampersand
