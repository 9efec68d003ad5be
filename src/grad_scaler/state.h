// A scaler's options and state in the terms of its rule, and back.
#pragma once

#include "amp/grad_scaler.h"
#include "src/grad_scaler/scale_rule.h"

namespace amp::scaling {

Rule rule_of(const GradScalerOptions& options);
Scale first_scale(const GradScalerOptions& options);

GradScalerState state_of(const Scale& scale, const Rule& rule);
Scale scale_of(const GradScalerState& state);

}  // namespace amp::scaling
