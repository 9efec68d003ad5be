// Times small ops under amp::Autocast and without; tools/bench-autocast asks and takes turns.
#include "amp/autocast.h"
#include "bench/autocast_cases.h"

namespace {

struct Region {
  amp::Autocast autocast{at::kCPU};
};

struct RegionWithRule {
  static const amp::OpPolicy& policy() {
    static const auto policy = amp::OpPolicy::torch(at::kCPU).set("gelu", amp::CastRule::fp32);
    return policy;
  }
  amp::Autocast autocast{at::kCPU, at::kBFloat16, {.policy = policy()}};
};

}  // namespace

int main() { return amp::bench::answer_requests<Region, RegionWithRule>(); }
