// How long steps take.
#include "app/training/pace.h"

#include <algorithm>

namespace ampersand {

double Pace::stop(std::int64_t samples) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  seconds_ += seconds;
  group_seconds_ += seconds;
  group_samples_ += samples;
  if (++micro_batches_ % accumulation_ != 0) return seconds;
  if (micro_batches_ > 2 * accumulation_)
    speeds_.push_back(static_cast<double>(group_samples_) / group_seconds_);
  group_seconds_ = 0;
  group_samples_ = 0;
  return seconds;
}

std::optional<double> Pace::samples_per_second() const {
  if (speeds_.empty()) return std::nullopt;
  auto speeds = speeds_;
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  return *middle;
}

}  // namespace ampersand
