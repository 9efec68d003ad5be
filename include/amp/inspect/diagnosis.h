// From what was seen in a training to what is wrong with it, without tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/inspect/thrown.h"

namespace amp {

// Where a step's first value that is not finite came from, among those that reached its loss or
// gradients.
struct FirstNonFinite {
  enum class Origin : std::uint8_t {
    op,         // the op made it from finite numbers
    data,       // it was in a tensor that no op of the step made: an input or a target
    target,     // a class or an index out of range, whatever became of it
    parameter,  // a weight had it before the step began
    gradient,   // a parameter's gradient has it; which op made it was not recorded
  };
  Origin origin = Origin::op;
  std::int64_t step = 0;
  Pass pass = Pass::forward;
  std::string op;         // OpRecord's; of the forward pass in a backward one: "sqrt"
  std::string called_as;  // "linear"
  std::string module;     // "blocks.3.attn"
  std::string parameter;  // the one whose gradient was first, or that was not finite; may be empty
  std::string dtype;      // of the op's output: "fp16"
  std::vector<std::string> culprits = {};  // all parameters whose gradient was not finite
  double input_amax = 0;                   // of the op's finite inputs
  double output_amax = 0;                  // of its finite outputs
  double loss_scale = 1;
  bool inputs_finite = true;  // born here, not handed on
  // The op computed again on the same inputs in a wider format (fp32 for fp16, else fp64):
  bool evaluated = false;        // it was
  bool finite_in_wide = false;   // and its output was finite
  double wide_amax = 0;          // the largest |x| of that
  bool is_loss_scaling = false;  // the op multiplied the loss by the loss scale
  bool in_cast = false;          // autocast's cast of an input of `called_as`
  std::string detail = {};       // of data and targets: "class 12 of 10"
  // Where in the op's output, if it is not all of it: "[:, 2, :, :] of [16, 4, 12, 12]".
  std::string place = {};
};

// One step, as far as it was recorded.
struct StepEvidence {
  std::int64_t step = 0;
  bool recorded = false;  // its ops were looked at
  bool skipped = false;
  double loss_scale = 1;
  std::optional<double> loss = {};           // unscaled; not finite if it was not
  std::optional<double> weight_amax = {};    // over all parameters, before the step
  std::optional<double> gradient_amax = {};  // of the parameters, unscaled, of the finite numbers
  std::optional<double> forward_amax = {};   // of what the forward pass's ops gave
  std::optional<double> backward_amax =
      {};  // of what the backward pass's ops gave, times the scale
  // The share of an fp16 op's gradient numbers that are zero there and not in fp32. It is that of
  // the op that loses most, among those that were computed again.
  double flushed = 0;
  std::string flushed_op = {}, flushed_module = {};
  double flushed_amax = 0;  // of that op's output in fp32, times the loss scale
  std::optional<FirstNonFinite> non_finite = {};
  // The first op of the forward pass that overflowed, whether or not the loss or a gradient shows
  // it. Many overflows that neither shows are harmless; one in a sum that something is divided by
  // is not.
  std::optional<FirstNonFinite> hidden_overflow = {};
  std::optional<Thrown> thrown = {};  // what ended the step before it was done
};

struct Evidence {
  std::vector<StepEvidence> steps;  // in their order; some may be missing
  bool dynamic_scaling = true;      // the loss scale follows the overflows
};

enum class Verdict : std::uint8_t {
  clean,             // nothing is wrong; a rare skipped step is not
  forward_overflow,  // finite inputs, and a result beyond the format's range
  scale_overflow,    // the gradients overflow at this loss scale and would not at 1
  underflow,         // gradients are flushed to zero that fp32 keeps: the loss scale is too small
  model_nan,         // the model computes what has no finite value in any format: log(0), 0/0
  bad_data,          // an input or a target is not finite, or a target out of range
  divergence,        // loss and weights grow until any format overflows: the learning rate
  throws,            // a step threw, for another reason than a value that does not fit its format
  // Only with experiments (amp::Doctor) and not by diagnose:
  precision_loss,  // fp32 trains, and rounding in low precision makes it worse, or not finite
  flushed_constant,  // a constant, an epsilon say, is zero in the format, and what it guards against came
  vanishing,         // gradients vanish on their way, in fp32 too
  not_learning,  // nothing grows and nothing is learned, in fp32 too
  eval_only,     // training is finite and evaluation is not
};

// "forward_overflow"
AMP_API const char* verdict_name(Verdict verdict);
[[deprecated("use verdict_name()")]] inline const char* name_of(Verdict verdict) {
  return verdict_name(verdict);
}

struct Diagnosis {
  Verdict verdict = Verdict::clean;
  std::int64_t step = -1;  // -1: none
  Pass pass = Pass::forward;
  std::string op, module, parameter;
  double amax = 0;  // the number that tells: what overflowed, what was flushed, how large it grew
  double loss_scale = 1;
  // Whether fp32 on the same batch and weights goes wrong, too; empty where that was not tried.
  std::optional<bool> fp32_too = {};
  std::optional<std::int64_t> sample = {};  // of the micro-batch: without it nothing is wrong
  std::string place = {};                   // FirstNonFinite's
  std::string source = {};  // of a TorchScript model: the line of its source, "model.py:12"
  std::string remedy;       // one clause: "keep this op in fp32 or use bf16"
  std::string sentence;     // the whole of it: step, op, number, format, pass, remedy
};

// The verdict on a training, by the first rule that holds:
//   bad_data          the first fault's origin is data or a target;
//   divergence        a weight was not finite before its step; or loss and weights have grown by much
//                     more than they were when the fault came; or grew so without one;
//   model_nan         the op gives no finite number in a wider format either;
//   scale_overflow    a gradient overflows, and times 1/S fits; not if that was rare and went by;
//   forward_overflow  the op is finite in a wider format;
//   forward_overflow  the step threw, since a value did not fit the format it was converted to;
//   throws            the step threw something else;
//   underflow         most of an op's gradients are flushed to zero that fp32 keeps;
//   clean.
// A pure function; does not throw. Empty evidence is clean.
AMP_API Diagnosis diagnose(const Evidence& evidence);

// {"verdict", "fp32_too", "step", "pass", "op", "module", "parameter", "sample", "place", "source", "amax",
// "loss_scale", "remedy", "sentence"}; null for what does not apply, and for a number that is not finite.
AMP_API std::string to_json(const Diagnosis& diagnosis);

}  // namespace amp
