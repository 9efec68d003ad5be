// Trainings in which one thing is wrong, or nothing, drawn at random, with the truth about each.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "amp/recipe.h"

namespace amp::faults {

// A model to train, with its data.
class Trainee : public torch::nn::Module {
 public:
  // The i-th micro-batch, from 0: inputs first, then targets, samples along dimension 0. The same i
  // gives the same tensors.
  virtual std::vector<at::Tensor> batch(std::int64_t i) const = 0;
  // The loss of such a batch, or of some samples of one. What happens at a certain micro-batch only is
  // told by the batch, so that one that is computed again behaves as before.
  virtual at::Tensor loss(const std::vector<at::Tensor>& batch) = 0;
};

struct Truth {
  std::string kind;  // "softmax_fully_masked"
  bool clean = false;
  std::vector<std::string> verdicts;  // the names that are right, best first: "model_nan"
  std::vector<std::string> ops;       // that are right; empty: not judged
  std::vector<std::string> modules;   // that are right; empty: not judged
  std::int64_t first_step = -1,
               last_step = -1;  // micro-batches, from 1, that are right; -1: not judged
  std::optional<bool> fp32_too = std::nullopt;        // whether fp32 goes wrong, too
  std::optional<std::int64_t> sample = std::nullopt;  // the one bad sample of the batch
};

struct Case {
  Truth truth;
  // fp32, bf16, fp16, fp16-scale-1024, bf16-weights (no masters), O2, fp8-emulated
  std::string precision;
  Recipe recipe;
  std::string optimizer = "sgd";  // or adamw
  double learning_rate = 0.01;
  double weight_decay = 0;
  std::int64_t steps = 60;
  std::uint64_t seed = 0;
  std::function<std::shared_ptr<Trainee>()> make;  // a new one, the same each time
};

// The kinds of faults; each has trainings that look alike and are clean.
std::vector<std::string> kinds();
// Throws InvalidArgument for another kind.
Case draw(const std::string& kind, bool clean, std::mt19937_64& random);

}  // namespace amp::faults
