// A diagnosis in words.
#pragma once

#include <string>

#include "amp/inspect/diagnosis.h"
#include "src/inspect/growth.h"

namespace amp::inspect {

// The largest finite number of a format by its name; infinite for one that is not of amp::Format.
double largest(const std::string& dtype);
// The number of a fault that tells: what the op would have given, or the cast's input.
double amax_of(const FirstNonFinite& fault);

// "7.1e4", "0.003", "12"
std::string shown(double value);

// Each sets remedy and sentence, of a diagnosis that has everything else.
void describe(Diagnosis& diagnosis, const FirstNonFinite& fault, const Growth& growth,
              bool dynamic_scaling);
void describe_underflow(Diagnosis& diagnosis, const StepEvidence& step);
void describe_clean(Diagnosis& diagnosis, const Evidence& evidence);

}  // namespace amp::inspect
