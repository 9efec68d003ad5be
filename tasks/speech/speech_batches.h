// Recordings in batches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "tasks/common/permutation.h"
#include "tasks/common/task_settings.h"

namespace ampersand {

// A recording as a model of speech learns from it.
struct Spoken {
  at::Tensor frames;                 // [time, bands], fp32, on the CPU
  std::vector<std::int32_t> labels;  // from 1 on
};

// Inputs: frames [batch, longest, bands] in the dtype asked for, 0 behind the end of each; lengths
// [batch], int64. Targets: labels [batch, longest], int64, 0 behind the end of each; their lengths
// [batch], int64. The longest are those of the batch.
class SpeechBatches : public Batches {
 public:
  // set must outlive this. Throws amp::InvalidArgument for a batch size below 1 and for no recordings.
  SpeechBatches(const std::vector<Spoken>& set, std::int64_t batch_size, c10::ScalarType dtype);

  std::int64_t samples() const override { return std::ssize(set_); }
  std::int64_t batch_size() const override { return batch_size_; }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override;
  Batch get(std::int64_t i) const override;

 private:
  const std::vector<Spoken>& set_;
  std::int64_t batch_size_;
  c10::ScalarType dtype_;
  std::optional<Permutation> order_;  // none before the first shuffle
};

}  // namespace ampersand
