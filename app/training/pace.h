// How long steps take.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace ampersand {

// Times each micro-batch, and keeps the speed of each accumulation group except the first two,
// which pay for set-up.
class Pace {
 public:
  explicit Pace(std::int64_t accumulation) : accumulation_(accumulation) {}

  void start() { begin_ = std::chrono::steady_clock::now(); }
  // Ends a micro-batch; its seconds.
  double stop(std::int64_t samples);

  double seconds() const { return seconds_; }  // of all micro-batches
  // Samples a second: the median over the groups, because on a shared machine other programs move
  // the mean.
  std::optional<double> samples_per_second() const;

 private:
  std::int64_t accumulation_;
  std::chrono::steady_clock::time_point begin_;
  double seconds_ = 0, group_seconds_ = 0;
  std::int64_t micro_batches_ = 0, group_samples_ = 0;
  std::vector<double> speeds_;
};

}  // namespace ampersand
