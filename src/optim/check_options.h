// Which options an optimizer takes.
#pragma once

#include <string>

#include "amp/optim.h"

namespace amp::optim {

// Each throws InvalidArgument, beginning with `who`, for a value out of range, with the remedy.
void check(const SGDOptions& options, const std::string& who);
void check(const AdamOptions& options, const std::string& who);
void check(const AdamWOptions& options, const std::string& who);
void check(const LambOptions& options, const std::string& who);
void check_lr(double lr, const std::string& who);

}  // namespace amp::optim
