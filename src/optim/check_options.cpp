// Which options an optimizer takes.
#include "src/optim/check_options.h"

#include <cmath>
#include <sstream>

#include "amp/error.h"

namespace amp::optim {
namespace {

[[noreturn]] void refuse(const std::string& who, const char* rule, double value,
                         const char* remedy = nullptr) {
  std::ostringstream message;
  message << who << ": " << rule << ", got " << value;
  if (remedy != nullptr) message << "; " << remedy;
  throw InvalidArgument(message.str());
}

void require_not_negative(const std::string& who, const char* rule, double value) {
  if (!(value >= 0) || std::isinf(value)) refuse(who, rule, value);
}

void check_memory(const MemoryOptions& memory, const std::string& who) {
  if (memory.weights > LowPrecisionWeights::nearest)
    refuse(who, "memory.weights must be one of LowPrecisionWeights",
           static_cast<double>(memory.weights));
}

template <typename Options>
void check_adaptive(const Options& options, const std::string& who) {
  check_lr(options.lr, who);
  for (const double beta : options.betas) {
    if (!(beta >= 0 && beta < 1)) refuse(who, "betas must be in [0, 1)", beta);
  }
  require_not_negative(who, "eps must be finite and >= 0", options.eps);
  require_not_negative(who, "weight_decay must be finite and >= 0", options.weight_decay);
  check_memory(options.memory, who);
}

}  // namespace

void check_lr(double lr, const std::string& who) {
  require_not_negative(who, "lr must be finite and >= 0", lr);
}

void check(const SGDOptions& options, const std::string& who) {
  check_lr(options.lr, who);
  require_not_negative(who, "momentum must be finite and >= 0", options.momentum);
  if (!std::isfinite(options.dampening)) refuse(who, "dampening must be finite", options.dampening);
  require_not_negative(who, "weight_decay must be finite and >= 0", options.weight_decay);
  if (options.nesterov && options.momentum == 0)
    refuse(who, "nesterov needs a momentum > 0", options.momentum, "set .momentum, 0.9 for one");
  if (options.nesterov && options.dampening != 0)
    refuse(who, "nesterov needs a dampening of 0", options.dampening, "leave .dampening out");
  check_memory(options.memory, who);
}

void check(const AdamOptions& options, const std::string& who) { check_adaptive(options, who); }
void check(const AdamWOptions& options, const std::string& who) { check_adaptive(options, who); }
void check(const LambOptions& options, const std::string& who) { check_adaptive(options, who); }

}  // namespace amp::optim
