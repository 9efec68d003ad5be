// Learning rates over the steps of a training.
#pragma once

#include <cstdint>
#include <string>

namespace ampersand {

struct Schedule {
  std::string kind = "constant";  // constant, cosine (to 0) or linear (to 0)
  double base = 0;                // the highest learning rate
  std::int64_t warmup = 0;        // steps of linear rise before it
  std::int64_t total = 1;         // steps in all
};

// The learning rate of the step that follows `done` steps. A skipped step is none: the schedule
// waits for the optimizer. Past the total it stays at the last value.
//   warm-up: base (done + 1) / warmup;  after it, with p = (done - warmup) / (total - warmup):
//   cosine: base (1 + cos(pi p)) / 2;  linear: base (1 - p)
double learning_rate(const Schedule& schedule, std::int64_t done);

}  // namespace ampersand
