// CastLog: what autocast did, op by op.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "amp/export.h"
#include "amp/op_policy.h"

namespace amp {

namespace autocast {
class Log;
}

struct CastCount {
  std::string op;                  // as OpPolicy::explain takes it
  CastRule rule = CastRule::keep;  // keep, too, for an op without a rule
  // What gave the rule, where it was not the op's own: the name that users know ("linear" for an
  // addmm with a parameter), or "module " and the pattern. OpPolicy::explain takes it, too.
  std::string by = {};
  std::int64_t calls = 0;
  std::int64_t casts = 0;   // tensors that were cast for it
  std::int64_t bytes = 0;   // of these casts
  std::int64_t served = 0;  // casts of weights that were there already
};

// While it lives, the regions that this thread opens note which ops they met, by which rule, and
// what was cast for them. An op with a rule is noted wherever it is called, also inside a composite
// op. An op without one is noted where the model calls it. Backward passes outside of a region are
// not noted. Ops cost some microseconds more while it lives; a region without a log pays nothing. A
// thread has one at a time, and makes and destroys it itself; a second one throws StateError.
//
//   amp::CastLog log;
//   {
//     const amp::Autocast autocast(torch::kCPU);
//     model->forward(batch);
//   }
//   for (const auto& count : log.counts()) std::cout << count.op << ": " << count.casts << " casts\n";
class AMP_API CastLog {
 public:
  CastLog();
  ~CastLog();
  CastLog(const CastLog&) = delete;
  CastLog& operator=(const CastLog&) = delete;

  // Those with the most bytes first, then those with the most calls.
  std::vector<CastCount> counts() const;

 private:
  std::shared_ptr<autocast::Log> log_;
  std::uint64_t callback_;
};

}  // namespace amp
