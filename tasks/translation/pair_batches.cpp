// Pairs of texts in batches.
#include "tasks/translation/pair_batches.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <string>
#include <vector>

#include "amp/error.h"

namespace ampersand {

PairBatches::PairBatches(const PairSet& set, const PairMarks& marks, std::int64_t batch_size)
    : set_(set), marks_(marks), batch_size_(batch_size) {
  if (batch_size < 1)
    throw amp::InvalidArgument("PairBatches: batch_size must be at least 1, got " +
                               std::to_string(batch_size));
  if (set.empty()) throw amp::InvalidArgument("PairBatches: there must be pairs, got none");
}

void PairBatches::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  order_.emplace(set_.size(), seed, epoch);
}

Batch PairBatches::get(std::int64_t i) const {
  const auto count = samples_of(i);
  std::vector<std::int64_t> pairs;
  std::int64_t source_time = 0, target_time = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const auto place = i * batch_size_ + k;
    pairs.push_back(order_ ? (*order_)[place] : place);
    source_time = std::max(source_time, std::ssize(set_.source(pairs.back())));
    target_time = std::max(target_time, std::ssize(set_.target(pairs.back())) + 1);
  }
  auto sources = at::full({count, source_time}, marks_.padding, c10::kLong);
  auto inputs = at::full({count, target_time}, marks_.padding, c10::kLong);
  auto targets = at::full({count, target_time}, kIgnored, c10::kLong);
  auto* source_row = sources.mutable_data_ptr<std::int64_t>();
  auto* input_row = inputs.mutable_data_ptr<std::int64_t>();
  auto* target_row = targets.mutable_data_ptr<std::int64_t>();
  for (const auto pair : pairs) {
    const auto source = set_.source(pair), target = set_.target(pair);
    std::ranges::copy(source, source_row);
    input_row[0] = marks_.begin;
    std::ranges::copy(target, input_row + 1);
    *std::ranges::copy(target, target_row).out = marks_.end;
    source_row += source_time;
    input_row += target_time;
    target_row += target_time;
  }
  return {{sources, inputs}, {targets}};
}

}  // namespace ampersand
