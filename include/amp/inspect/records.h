// What an Inspector keeps of an op, a parameter and a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/inspect/diagnosis.h"
#include "amp/precision.h"

namespace amp {

// What one format would lose of some numbers, rounding to nearest even.
struct FormatRates {
  Format format = Format::fp32;
  FormatLoss loss = {};

  // Shares of the numbers that there are to lose, the finite ones other than zero; 0 if there are
  // none.
  double overflow() const { return share(loss.overflowed); }
  double underflow() const { return share(loss.flushed_to_zero + loss.subnormal); }
  double flushed() const { return share(loss.flushed_to_zero); }

 private:
  double share(std::int64_t count) const {
    return loss.nonzero == 0 ? 0 : static_cast<double>(count) / static_cast<double>(loss.nonzero);
  }
};

// The numbers of one tensor, or of several taken together.
struct TensorSummary {
  TensorStatistics statistics = {};
  ExponentHistogram exponents = {};  // all zeros with InspectorOptions::histograms off
  std::vector<FormatRates> formats =
      {};                  // in the order of InspectorOptions::formats; empty with it off
  std::string dtype = {};  // "fp16"; of the last tensor

  bool finite() const { return statistics.infs + statistics.nans == 0; }
  AMP_API void add(const TensorSummary& other);
};

// How far numbers in low precision lie from what fp32 gives. It consists of sums, so that those of
// several tensors add up. An ulp is the distance between the format's numbers at fp32's number.
// Below the root mean square of the tensor it is the distance at the root mean square, because a
// sum that cancels to nearly nothing cannot have its last bit right.
struct Deviation {
  std::int64_t compared = 0;    // finite in both
  std::int64_t lost = 0;        // finite in fp32 alone
  std::int64_t beyond_ulp = 0;  // more than one ulp away: the last bit is wrong, or more
  double max_ulps = 0;          // the largest distance, in ulps
  double error_squares = 0, own_squares = 0, fp32_squares = 0, products = 0;

  // ||own - fp32|| / ||fp32||, of those that are finite in both; infinite where only fp32 is zero.
  AMP_API double relative_error() const;
  AMP_API double cosine() const;  // of the angle between them; 1 where both are zero
  // Whether the error is larger than that of a correctly rounded result: a number was lost, or the
  // relative error is above kRoundings roundings to nearest (2^-9 in bf16, 2^-12 in fp16) of every
  // number.
  AMP_API bool departs(Format format) const;
  AMP_API void add(const Deviation& other);

  static constexpr double kRoundings = 8;
};

// The comparison with fp32 of an op that the model called, or of one of the backward pass, on the
// same inputs.
struct Fp32Comparison {
  std::string op;      // as the model called it: "linear"; of the backward pass, its forward op
  std::string module;  // as in OpRecord
  Pass pass = Pass::forward;
  std::string dtype;  // of the output
  std::int64_t calls = 1;
  Deviation deviation = {};
};
using ShadowRecord [[deprecated("use Fp32Comparison")]] = Fp32Comparison;

// One call of an op that computes: no view, no allocation.
struct OpRecord {
  std::string op;         // as OpPolicy::explain takes it, without its overload: "addmm"
  std::string called_as;  // what the model called: "linear"; the op's own name if that was it
  std::string module;     // "blocks.3.attn"; empty for the model itself and for what is outside
  Pass pass = Pass::forward;
  std::string dtype;            // of the output
  bool inputs_finite = true;    // so that what is not finite in the output was born here
  double input_amax = 0;        // largest |x| of the finite inputs
  TensorSummary output = {};    // all outputs together
  bool in_cast = false;         // a cast that autocast made for `called_as`
  double flushed_in_fp32 = -1;  // share of the output's zeros that are none in fp32; -1: not looked
};

// One op of one module, over every step that was recorded: a cell of a table.
struct OpSummary {
  std::string op, called_as, module, dtype;
  Pass pass = Pass::forward;
  std::int64_t calls = 0;
  double input_amax = 0;
  TensorSummary output = {};
};

// A parameter in the last step that was recorded.
struct ParameterRecord {
  std::string name;
  TensorSummary weight = {};
  TensorSummary gradient =
      {};  // as backward() gave it, multiplied by loss_scale; of all micro-batches
  double loss_scale = 1;
  std::int64_t gradients = 0;  // how many there were: micro-batches
  Deviation deviation = {};    // of the gradients, from those that Inspector::expect was told

  double gradient_amax() const { return gradient.statistics.amax / loss_scale; }  // unscaled
};

}  // namespace amp
