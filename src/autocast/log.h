// What a CastLog gathers from the kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "amp/cast_log.h"
#include "amp/precision/format.h"

namespace amp::autocast {

class Log {
 public:
  // Counts a call. The reference stays good as long as the log; its fields belong to the thread that
  // runs the region. by: CastCount's.
  CastCount& call(const std::string& op, CastRule rule, const std::string& by = {});
  // Takes back the call of an op that was counted as one without a rule, if the model called it.
  void take_back(const std::string& op);
  std::vector<CastCount> counts() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string, CastRule, std::string>, CastCount> counts_;
};

// Of this thread's CastLog; null without one.
const std::shared_ptr<Log>& log_here();

// cached_cast, or cached_rounding where there is a format, counted.
at::Tensor counted_cast(c10::ScalarType dtype, std::optional<Format> format,
                        const at::Tensor& tensor, CastCount& count);

}  // namespace amp::autocast
