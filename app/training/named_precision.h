// The names of precisions on the command line, and the recipe each stands for.
#pragma once

#include <string>
#include <vector>

#include "amp/recipe.h"

namespace ampersand {

struct Precision {
  std::string name;
  amp::Recipe recipe;
};

// fp32, bf16, fp16 (dynamic loss scaling), fp16-unscaled, fp16-scale-N (fixed loss scale N),
// FORMAT-emulated (amp::Recipe::emulated; fp8-emulated: amp::Recipe::fp8), or one of Apex's levels O0
// to O3.
// Throws amp::InvalidArgument for another name.
Precision parse_precision(const std::string& name);

// A list separated by commas. An empty item or the same name twice is an error.
std::vector<Precision> parse_precisions(const std::string& list);

// `--loss-scale`: "dynamic", or a positive number for a fixed scale. A precision whose name already
// says how it is scaled is refused.
void set_loss_scale(Precision& precision, const std::string& value);

// "fp32", "bf16" or "fp16" and back. The option is what amp::InvalidArgument names for another name.
c10::ScalarType parse_dtype(const std::string& option, const std::string& name);
const char* dtype_name(c10::ScalarType dtype);

bool is_fp32(const Precision& precision);  // it computes in fp32 and emulates no other format

std::string loss_scaling_name(amp::LossScaling scaling);

}  // namespace ampersand
