// One libamp per process: its kernels can sit on LibTorch's dispatcher only once.
#pragma once

#include <c10/util/Exception.h>

namespace amp::cpu_math {

// Whether this copy of libamp is the first that was loaded into the process, and so the one whose
// kernels are registered.
bool is_first_copy();

// Throws StateError in another one. Such a copy has registered nothing, so its switches and its
// Autocast would turn on what is not there. Cheap: one branch.
void check_single_copy();

// While it lives, LibTorch does not warn on this thread: of a kernel that takes the place of its
// own, for one, which is what is meant here.
class NoWarnings {
 public:
  NoWarnings() : guard_(&silent_) {}

 private:
  struct Silent : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  };
  Silent silent_;
  c10::WarningUtils::WarningHandlerGuard guard_;
};

}  // namespace amp::cpu_math
