// What an optimizer keeps in memory beside the weights: docs/optimizers.md has the bytes.
#pragma once

#include <cstdint>

namespace amp::optim {

// How bf16 and fp16 parameters are updated. A plain bf16 weight loses every update smaller than
// 1/512 of itself (fp16: 1/4096); all choices but `nearest` are remedies.
enum class LowPrecisionWeights : std::uint8_t {
  master,      // an fp32 copy is updated, and rounded into the parameter: 4 bytes more
  split,       // bf16 only: the lower 16 bits of the fp32 weight are kept apart: as exact as
               // master, 2 bytes more
  kahan,       // what rounding lost is kept in the parameter's dtype: nearly as exact, 2 bytes more
  stochastic,  // rounded up or down at random: exact on average, nothing more
  nearest,     // rounded to nearest even: as torch.optim does
};

struct MemoryOptions {
  LowPrecisionWeights weights = LowPrecisionWeights::master;  // fp32 parameters need none of it
  bool bf16_moments = false;  // momentum and moments in bf16, rounded at random
  std::uint64_t seed = 0;     // of the random roundings: each depends on the seed, the step, the
                              // parameter's place and the element's, not on the threads

  bool operator==(const MemoryOptions&) const = default;
};

}  // namespace amp::optim
