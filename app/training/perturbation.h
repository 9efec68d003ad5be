// Weights that are moved a little, to learn how far a training is from itself.
#pragma once

#include <cstdint>

#include "app/models/model.h"

namespace ampersand {

constexpr std::uint64_t kPerturbation = 0x5eed;  // the seed of the moves, where one is enough

// Multiplies each weight by 1 + u with u uniform in +-2^-8, so that it moves by half an ulp of bf16 at most: as far as
// rounding to bf16 moves it, but once and by chance. The random numbers are those of the CPU, and a
// generator of their own: the training's own go on as they would have.
void perturb(Model& model, std::uint64_t seed);

}  // namespace ampersand
