// Times small ops under LibTorch's own autocast and without. Not linked to libamp, which would put its
// kernels in the place of LibTorch's; tools/bench-autocast asks and takes turns.
#include <ATen/autocast_mode.h>

#include "bench/autocast_cases.h"

namespace {

// What a region is in C++ without a guard: the state set by hand, and put back.
struct Region {
  bool enabled = at::autocast::is_autocast_enabled(at::kCPU);
  bool cache_enabled = at::autocast::is_autocast_cache_enabled();
  c10::ScalarType dtype = at::autocast::get_autocast_dtype(at::kCPU);
  Region() {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_cache_enabled(true);
    at::autocast::increment_nesting();
  }
  ~Region() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    at::autocast::set_autocast_dtype(at::kCPU, dtype);
    at::autocast::set_autocast_cache_enabled(cache_enabled);
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
};

}  // namespace

int main() { return amp::bench::answer_requests<Region, Region>(); }
