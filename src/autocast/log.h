// What a CastLog gathers from the kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/cast_log.h"
#include "amp/precision/format.h"

namespace amp::autocast {

class Log {
 public:
  // Counts a call. The reference stays good as long as the log; its fields belong to the thread that
  // runs the region.
  CastCount& call(const std::string& op, CastRule rule);
  std::vector<CastCount> counts() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, CastRule>, CastCount> counts_;
};

// Of this thread's CastLog; null without one.
const std::shared_ptr<Log>& log_here();

// cached_cast, or cached_rounding where there is a format, counted.
at::Tensor counted_cast(c10::ScalarType dtype, std::optional<Format> format,
                        const at::Tensor& tensor, CastCount& count);

}  // namespace amp::autocast
