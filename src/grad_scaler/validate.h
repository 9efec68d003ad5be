// What values a GradScaler may take. One rule each, for the constructor, the setters and a loaded
// state.
#pragma once

#include "amp/grad_scaler.h"

namespace amp::scaling {

// Whether the scale's value in fp32 is finite and positive, and its reciprocal, too (from 2.94e-39
// on). With another scale every step would be skipped for ever.
bool is_usable_scale(double scale);

void check_growth_factor(double factor);
void check_backoff_factor(double factor);
void check_growth_interval(std::int64_t interval);
void check_options(const GradScalerOptions& options);
void check_new_scale(double scale, const GradScalerOptions& rails);
void check_state(const GradScalerState& state);

}  // namespace amp::scaling
