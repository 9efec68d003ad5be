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
  // Counts a call. The reference is valid while the log lives; its fields belong to the thread that
  // runs the region. by: CastCount's.
  CastCount& call(const std::string& op, CastRule rule, const std::string& by = {});
  // Takes back a call that was counted as one without a rule, if the model called the op.
  void take_back(const std::string& op);
  std::vector<CastCount> counts() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string, CastRule, std::string>, CastCount> counts_;
};

// The log of this thread's CastLog; null without one.
const std::shared_ptr<Log>& log_here();

// Calls cached_cast, or cached_rounding if there is a format, and counts it.
at::Tensor counted_cast(c10::ScalarType dtype, std::optional<Format> format,
                        const at::Tensor& tensor, CastCount& count);

}  // namespace amp::autocast
