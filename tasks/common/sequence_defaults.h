// What models of sequences are commonly trained with.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "amp/task.h"

namespace ampersand {

struct SequenceDefaults {
  double learning_rate = 1e-3;
  std::int64_t batch_size = 16;
  std::int64_t epochs = 1;
};

// With AdamW, a short warm-up, a cosine and clipped gradients.
inline std::map<std::string, amp::OptionValue> sequence_defaults(const SequenceDefaults& defaults) {
  return {{"--optimizer", std::string("adamw")},
          {"--lr", defaults.learning_rate},
          {"--schedule", std::string("cosine")},
          {"--warmup", std::int64_t{100}},
          {"--max-grad-norm", 1.0},
          {"--batch-size", defaults.batch_size},
          {"--epochs", defaults.epochs}};
}

}  // namespace ampersand
