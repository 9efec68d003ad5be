// Which of the things that went wrong in a training is the one to explain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "amp/inspect/diagnosis.h"

namespace amp::doctor {

struct Focus {
  enum class Kind : std::uint8_t {
    none,       // nothing, or what training recovered from
    threw,      // a step threw
    lasting,    // every step from this one on went wrong
    data,       // an input or a target
    undefined,  // an op without a finite value for its input, also if the step was skipped
    forward,    // the forward pass overflowed, which no loss scale mends
    recurring,  // many steps, between good ones
  };
  Kind kind = Kind::none;
  std::size_t place = 0;   // in the evidence
  std::size_t length = 0;  // of a lasting one: steps
};

bool went_wrong(const StepEvidence& step);
// What there may be to explain, the gravest first; of each kind the first two different ops.
std::vector<Focus> foci_of(const Evidence& evidence);
// The first of the last steps in a row that went wrong; the number of steps if the last one went
// well.
std::size_t begin_of_last_streak(const Evidence& evidence);

}  // namespace amp::doctor
