// Batches in the order of the training, made ahead by threads of their own.
#pragma once

#include <cstdint>
#include <deque>
#include <future>

#include "app/tasks/batches.h"

namespace ampersand {

// With 0 threads a batch is made when it is asked for. With N, up to N batches are in the making at
// once; which thread makes one does not matter to it, so the order and the numbers are the same for
// every N.
class BatchLoader {
 public:
  // batches must outlive this.
  BatchLoader(Batches& batches, std::int64_t threads) : batches_(batches), threads_(threads) {}

  // The batches to come are those of this epoch from the first-th on.
  void begin_epoch(std::uint64_t seed, std::uint64_t epoch, std::int64_t first);

  // The next batch of the epoch. Throws what making it threw, and LostData where the files that it is read
  // from are no longer what they were.
  Batch next();

 private:
  void make_ahead();
  Batch next_of_those_ahead();

  Batches& batches_;
  std::int64_t threads_;
  std::int64_t next_ = 0;                // to be begun
  std::deque<std::future<Batch>> made_;  // in order
};

}  // namespace ampersand
