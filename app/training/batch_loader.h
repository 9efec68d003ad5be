// Batches in the order of the training, made ahead by threads of their own.
#pragma once

#include <cstdint>
#include <deque>
#include <future>

#include "amp/task.h"

namespace ampersand {

// With 0 threads a batch is made when it is asked for. With N, up to N batches are in the making at
// once; which thread makes one does not matter to it, so the order and the numbers are the same for
// every N.
class BatchLoader {
 public:
  // batches must outlive this.
  BatchLoader(amp::Batches& batches, std::int64_t threads)
      : batches_(batches), threads_(batches.needs_model() ? 0 : threads) {}

  // The batches to come are those of this epoch from the first-th on.
  void begin_epoch(std::uint64_t seed, std::uint64_t epoch, std::int64_t first);

  // The next batch of the epoch. Throws what making it threw, and LostData where the files that it is read
  // from are no longer what they were.
  amp::Batch next();
  // Of batches that are made with the model.
  amp::Batch next(amp::Evaluator& model);

 private:
  void make_ahead();
  amp::Batch next_of_those_ahead();

  amp::Batches& batches_;
  std::int64_t threads_;
  std::int64_t next_ = 0;                     // to be begun
  std::deque<std::future<amp::Batch>> made_;  // in order
};

}  // namespace ampersand
