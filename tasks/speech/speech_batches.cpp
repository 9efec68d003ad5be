// Recordings in batches.
#include "tasks/speech/speech_batches.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <string>

#include "amp/error.h"

namespace ampersand {

SpeechBatches::SpeechBatches(const std::vector<Spoken>& set, std::int64_t batch_size,
                             c10::ScalarType dtype)
    : set_(set), batch_size_(batch_size), dtype_(dtype) {
  if (batch_size < 1)
    throw amp::InvalidArgument("SpeechBatches: batch_size must be at least 1, got " +
                               std::to_string(batch_size));
  if (set.empty()) throw amp::InvalidArgument("SpeechBatches: there must be recordings, got none");
}

void SpeechBatches::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  order_.emplace(samples(), seed, epoch);
}

Batch SpeechBatches::get(std::int64_t i) const {
  const auto count = samples_of(i);
  std::vector<const Spoken*> chosen;
  std::int64_t time = 0, most_labels = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const auto place = i * batch_size_ + k;
    chosen.push_back(&set_[static_cast<std::size_t>(order_ ? (*order_)[place] : place)]);
    time = std::max(time, chosen.back()->frames.size(0));
    most_labels = std::max(most_labels, std::ssize(chosen.back()->labels));
  }
  auto frames = at::zeros({count, time, chosen.front()->frames.size(1)}, dtype_);
  auto labels = at::zeros({count, most_labels}, c10::kLong);
  auto lengths = at::zeros({count}, c10::kLong), label_lengths = at::zeros({count}, c10::kLong);
  for (std::int64_t k = 0; k < count; ++k) {
    const auto& spoken = *chosen[static_cast<std::size_t>(k)];
    const auto length = spoken.frames.size(0), label_length = std::ssize(spoken.labels);
    frames.select(0, k).narrow(0, 0, length).copy_(spoken.frames);
    std::ranges::copy(spoken.labels, labels.mutable_data_ptr<std::int64_t>() + k * most_labels);
    lengths.mutable_data_ptr<std::int64_t>()[k] = length;
    label_lengths.mutable_data_ptr<std::int64_t>()[k] = label_length;
  }
  return {{frames, lengths}, {labels, label_lengths}};
}

}  // namespace ampersand
