// What the doctor says of a drawn training.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/inspect/diagnosis.h"
#include "tools/faults/case.h"

namespace amp::faults {

struct Examination {
  Diagnosis diagnosis;
  std::optional<bool> fp32_too = {};        // whether fp32 goes wrong, too; nothing: not said
  std::optional<std::int64_t> sample = {};  // the bad sample of the batch
  // Remedies that were followed, and whether the training was well then.
  std::vector<std::pair<std::string, bool>> remedies_followed = {};
  std::vector<std::string> trials = {};  // what was tried, and what came of it
  std::int64_t replays = 0;
};

// follow: train with each remedy that the doctor says cures.
Examination examine(const Case& training, bool follow = false);

}  // namespace amp::faults
