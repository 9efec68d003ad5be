// Batches in the order of the training, made ahead.
#include "app/training/batch_loader.h"

#include "app/files/mappings.h"

namespace ampersand {

void BatchLoader::begin_epoch(std::uint64_t seed, std::uint64_t epoch, std::int64_t first) {
  made_.clear();  // waits for those in the making: they read the order that now changes
  batches_.shuffle(seed, epoch);
  next_ = first;
}

void BatchLoader::make_ahead() {
  while (static_cast<std::int64_t>(made_.size()) < threads_ && next_ < batches_.batches()) {
    made_.push_back(std::async(std::launch::async, [this, i = next_] { return batches_.get(i); }));
    ++next_;
  }
}

amp::Batch BatchLoader::next() {
  auto batch = threads_ == 0 ? batches_.get(next_++) : next_of_those_ahead();
  check_mappings();
  return batch;
}

amp::Batch BatchLoader::next(amp::Evaluator& model) {
  auto batch = batches_.make(next_++, model);
  check_mappings();
  return batch;
}

amp::Batch BatchLoader::next_of_those_ahead() {
  make_ahead();
  auto batch = made_.front().get();
  made_.pop_front();
  make_ahead();
  return batch;
}

}  // namespace ampersand
