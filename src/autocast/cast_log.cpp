// CastLog: counts of calls and casts.
#include "amp/cast_log.h"

#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <unordered_map>

#include "amp/error.h"
#include "src/autocast/cast_cache.h"
#include "src/autocast/log.h"
#include "src/autocast/region.h"

namespace amp {
namespace autocast {
namespace {

std::shared_ptr<Log>& log_slot() {
  thread_local std::shared_ptr<Log> log;
  return log;
}

// Ops that are under way on this thread.
thread_local int depth = 0;

struct InOp : at::ObserverContext {
  InOp() { ++depth; }
  ~InOp() override { --depth; }
};

struct Named {
  std::string name;  // of this overload alone
  CastRule rule;     // in this region; keep for an op without one
};

Named named(const Region& region, c10::DeviceType device, const std::string& op) {
  static const auto numbers = [] {
    std::unordered_map<std::string, std::size_t> made;
    for (std::size_t i = 0; i < op_policy::kOps; ++i) made[op_policy::kListed[i].name] = i;
    return made;
  }();
  const auto listed = numbers.find(op);
  const auto name = listed == numbers.end() ? op : op_policy::op_name(listed->second);
  const auto* table = region.of(device).table.get();
  if (table == nullptr) return {name, CastRule::keep};
  if (listed != numbers.end()) return {name, table->rules[listed->second]};
  const auto added = table->added.find(op);
  return {name, added == table->added.end() ? CastRule::keep : added->second};
}

// Ops with a rule count themselves, in their kernels.
std::unique_ptr<at::ObserverContext> before_op(const at::RecordFunction& function) {
  const auto* region = current_region();
  const auto name = function.operator_name();
  if (depth == 0 && region != nullptr && region->log != nullptr && name.has_value()) {
    for (const auto device : {at::kCPU, at::kCUDA}) {
      if (!at::autocast::is_autocast_enabled(device)) continue;
      const auto op = named(*region, device, op_policy::full_name(name->name, name->overload_name));
      if (op.rule == CastRule::keep) region->log->call(op.name, op.rule);
      break;
    }
  }
  return std::make_unique<InOp>();
}

}  // namespace

CastCount& Log::call(const std::string& op, CastRule rule, const std::string& by) {
  const std::lock_guard lock(mutex_);
  auto& count = counts_[{op, rule, by}];
  if (count.calls++ == 0) {
    count.op = op;
    count.rule = rule;
    count.by = by;
  }
  return count;
}

void Log::take_back(const std::string& op) {
  if (depth != 1) return;
  const std::lock_guard lock(mutex_);
  const auto place = counts_.find({op, CastRule::keep, ""});
  if (place != counts_.end() && place->second.calls > 0) --place->second.calls;
}

std::vector<CastCount> Log::counts() const {
  std::vector<CastCount> result;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, count] : counts_)
      if (count.calls > 0) result.push_back(count);
  }
  std::ranges::stable_sort(result, [](const CastCount& a, const CastCount& b) {
    return std::pair(a.bytes, a.calls) > std::pair(b.bytes, b.calls);
  });
  return result;
}

const std::shared_ptr<Log>& log_here() { return log_slot(); }

// Of sparse tensors the values'.
static std::int64_t bytes_of(const at::Tensor& tensor) {
  if (tensor.layout() == c10::kStrided && !tensor.is_nested())
    return static_cast<std::int64_t>(tensor.nbytes());
  const auto size = static_cast<std::int64_t>(tensor.element_size());
  return (tensor.layout() == c10::kStrided ? tensor.numel() : tensor._nnz()) * size;
}

at::Tensor counted_cast(c10::ScalarType dtype, std::optional<Format> format,
                        const at::Tensor& tensor, CastCount& count) {
  bool served = false;
  const auto result = format.has_value() ? cached_rounding(*format, tensor, &served)
                                         : cached_cast(dtype, tensor, &served);
  if (served) {
    ++count.served;
  } else if (!result.is_same(tensor)) {
    ++count.casts;
    count.bytes += bytes_of(result);
  }
  return result;
}

}  // namespace autocast

CastLog::CastLog() : log_(std::make_shared<autocast::Log>()) {
  if (autocast::log_here() != nullptr)
    throw StateError("CastLog: this thread has one already; read that, or end it first");
  autocast::log_slot() = log_;
  callback_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(autocast::before_op).scopes({at::RecordScope::FUNCTION}));
}

CastLog::~CastLog() {
  at::removeCallback(callback_);
  autocast::log_slot().reset();
}

std::vector<CastCount> CastLog::counts() const { return log_->counts(); }

}  // namespace amp
