// Trainings in which one thing is wrong, drawn at random, with the truth about each.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "amp/inspect.h"
#include "amp/recipe.h"

namespace amp::faults {

// What happens in a block, after its layer, from `step` on.
enum class Trouble {
  none,
  product,       // times 1e6
  exponential,   // exp of 15 and more
  scores,        // a matrix product of large rows
  wide_weights,  // the layer itself, from the first step on
  log_of_zero,
  zero_by_zero,
  arc_cosine,
  root_at_zero,    // its derivative
  steep_gradient,  // the derivative is 1e5 where the value is unchanged
};

struct Fault {
  Verdict cause = Verdict::clean;
  Trouble trouble = Trouble::none;
  std::string precision;  // fp32, bf16, fp16
  Recipe recipe;
  std::string family;  // mlp, cnn or attention
  std::int64_t blocks = 2, width = 16, step = 1, steps = 8;
  std::int64_t at = 0;  // the block
  double learning_rate = 0.01, loss_factor = 1;
  bool bad_input = false, bad_target = false;
  std::uint64_t seed = 0;
  // The truth about the op; empty where several are right.
  std::string op = {}, module = {};
  Pass pass = Pass::forward;
};

// Of `cause`; clean: nothing is wrong.
Fault draw(Verdict cause, std::mt19937_64& random);

// Trains it under an Inspector at level full, until it is clear what went wrong.
Diagnosis diagnose_training(const Fault& fault);

}  // namespace amp::faults
