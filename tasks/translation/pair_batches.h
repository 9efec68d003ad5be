// Pairs of texts in batches.
#pragma once

#include <optional>

#include "tasks/common/permutation.h"
#include "tasks/common/task_settings.h"
#include "tasks/translation/parallel_text.h"

namespace ampersand {

// The tokens that frame and fill up; of a ParallelText.
struct PairMarks {
  std::int64_t begin, end, padding;
};

inline constexpr std::int64_t kIgnored = -100;  // a target that the loss does not count

// Inputs: sources [batch, longest source] and targets behind their begin token [batch, longest target
// + 1]; padding behind the end of each. Targets: [batch, longest target + 1], what follows each token
// of the second input: the target and its end token, then kIgnored. All int64; the longest are those
// of the batch.
class PairBatches : public Batches {
 public:
  // set must outlive this. Throws amp::InvalidArgument for a batch size below 1 and for no pairs.
  PairBatches(const PairSet& set, const PairMarks& marks, std::int64_t batch_size);

  std::int64_t samples() const override { return set_.size(); }
  std::int64_t batch_size() const override { return batch_size_; }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override;
  Batch get(std::int64_t i) const override;

 private:
  const PairSet& set_;
  PairMarks marks_;
  std::int64_t batch_size_;
  std::optional<Permutation> order_;  // none before the first shuffle
};

}  // namespace ampersand
