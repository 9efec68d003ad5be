// The ops of one step, and the way back from what is not finite to where it was born.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amp/inspect/records.h"
#include "src/inspect/origins.h"

namespace amp::inspect {

// Beside an OpRecord: what a search for the culprit needs.
struct TraceNode {
  std::vector<Origin> bad_inputs = {};  // those that are not finite
  bool nan = false, inf = false;        // in the output
  bool constant = false;                // put there on purpose
  bool evaluated = false, finite_in_wide = false;
  double wide_amax = 0;
  std::string place = {};  // of what is not finite in the output
  bool is_loss_scaling = false;
  int parameter = -1;  // among the inputs
};

struct Trace {
  std::vector<OpRecord> ops;
  std::vector<TraceNode> nodes;               // one for each op
  std::vector<int> losses;                    // the op that each backward pass began with
  std::vector<int> bad_gradients = {};        // parameters, in the order in which they got one
  std::vector<Origin> gradient_origins = {};  // of these
  std::optional<FirstNonFinite> target = {};  // out of range

  void clear() { *this = {}; }
};

// Where the first value that is not finite came from, among those that reached a loss or, if every
// loss was finite, a parameter's gradient. A value that was masked on the way does not count.
// names: those of the parameters.
std::optional<FirstNonFinite> first_non_finite(const Trace& trace,
                                               const std::vector<std::string>& names);

// The first op of the forward pass whose finite input became Inf in its format and would not in a wider one.
std::optional<FirstNonFinite> hidden_overflow(const Trace& trace,
                                              const std::vector<std::string>& names);

}  // namespace amp::inspect
