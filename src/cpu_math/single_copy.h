// One libamp per process: its kernels can sit on LibTorch's dispatcher only once.
#pragma once

namespace amp::cpu_math {

// Throws StateError in a copy of libamp that was loaded into a process which already had one. Such
// a copy has registered nothing, so its switches and its Autocast would turn on what is not there.
// Cheap: one branch.
void check_single_copy();

}  // namespace amp::cpu_math
