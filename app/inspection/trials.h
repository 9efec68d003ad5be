// Short trainings in several precisions beside fp32, and which of them learn as fp32 does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/inspection/ranges.h"
#include "app/training/trainer.h"

namespace ampersand {

// A way to train that is tried.
struct Candidate {
  Precision precision;
  std::vector<std::string> keep_fp32 = {};  // ops that its policy keeps in fp32

  // A format that no dtype computes in here: it is tried to see what it would lose, and not advised.
  bool is_emulated() const { return precision.recipe.emulate.has_value(); }
};

// What came of it.
struct Trial {
  Candidate candidate;
  Ending ending = Ending::finished;
  std::string reason = {};          // why it was stopped
  std::vector<double> losses = {};  // of each micro-batch
};

// A trial beside that in fp32, which had the same weights and batches to begin with. The last quarter
// of the losses is compared, step by step.
struct Comparison {
  double loss = 0, fp32_loss = 0;  // means of the last quarter
  double difference = 0;
  // The noise of a difference, by the rule of `compare` (paired.h) for one pair and one side: from fp32's two runs
  // and the scatter of the steps; at least half a percent of fp32's first loss.
  double tolerance = 0;
  bool accepted =
      false;  // it finished, with a loss that is not higher than fp32's by more than that
};
// again: losses of the same fp32 training with its weights moved by half an ulp of bf16; may be empty.
Comparison compared(const Trial& trial, const Trial& fp32, const std::vector<double>& again);

// The candidates besides fp32: bf16 first; then, where the ranges allow it, fp16 with its initial scale, and
// with the ops that are too wide for it in fp32.
std::vector<Candidate> candidates(const Ranges& ranges, const amp::OpPolicy& policy);

// fp8, emulated: e4m3 operands and e5m2 gradients with a scale for each tensor.
Candidate emulated_fp8();

// bf16 with these sums and means in fp32, where it has lost too much without.
Candidate careful_bf16(const std::vector<std::string>& reductions, const amp::OpPolicy& policy);

// The ops of the forward pass that add up many numbers and whose result bf16 would round.
std::vector<std::string> reductions_of(const std::vector<amp::OpSummary>& ops,
                                       const amp::OpPolicy& policy);

// The ops that the policy was edited to keep in fp32, and "module NAME".
std::vector<std::string> kept_in_fp32(const amp::OpPolicy& policy);

nlohmann::json initial_scale_of(const Candidate& candidate);  // null without dynamic loss scaling
nlohmann::json trial_json(const Trial& trial, const Comparison& comparison);

}  // namespace ampersand
