// Learning rates over the steps of a training.
#include "app/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ampersand {

double learning_rate(const Schedule& schedule, std::int64_t done) {
  if (done < schedule.warmup)
    return schedule.base * static_cast<double>(done + 1) / static_cast<double>(schedule.warmup);
  if (schedule.kind == "constant") return schedule.base;
  const auto length = std::max<std::int64_t>(1, schedule.total - schedule.warmup);
  const double p =
      std::min(1.0, static_cast<double>(done - schedule.warmup) / static_cast<double>(length));
  if (schedule.kind == "linear") return schedule.base * (1 - p);
  return schedule.base * (1 + std::cos(std::numbers::pi * p)) / 2;
}

}  // namespace ampersand
