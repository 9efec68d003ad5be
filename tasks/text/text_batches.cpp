// Windows of a text in batches.
#include "tasks/text/text_batches.h"

#include <ATen/ops/empty.h>

#include <span>
#include <string>
#include <utility>

#include "amp/error.h"

namespace ampersand {
namespace {

std::int64_t checked(std::int64_t batch_size) {
  if (batch_size >= 1) return batch_size;
  throw amp::InvalidArgument("TextBatches: batch_size must be at least 1, got " +
                             std::to_string(batch_size));
}

TextWindows first_windows(const TokenStream& stream, std::int64_t context, bool shuffled) {
  return shuffled ? TextWindows(stream.size(), context, 0, 0) : TextWindows(stream.size(), context);
}

}  // namespace

TextBatches::TextBatches(TokenStream stream, std::int64_t context, std::int64_t batch_size,
                         bool shuffled)
    : stream_(std::move(stream)),
      batch_size_(checked(batch_size)),
      shuffled_(shuffled),
      windows_(first_windows(stream_, context, shuffled)) {}

void TextBatches::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  if (shuffled_) windows_ = TextWindows(stream_.size(), windows_.context(), seed, epoch);
}

Batch TextBatches::get(std::int64_t i) const {
  const auto count = samples_of(i), context = windows_.context();
  const auto size = static_cast<std::size_t>(context);
  auto inputs = at::empty({count, context}, c10::kLong);
  auto targets = at::empty({count, context}, c10::kLong);
  auto* input = inputs.mutable_data_ptr<std::int64_t>();
  auto* target = targets.mutable_data_ptr<std::int64_t>();
  for (std::int64_t k = 0; k < count; ++k, input += context, target += context)
    read_window(stream_, windows_, i * batch_size_ + k, {input, size}, {target, size});
  return {{inputs}, {targets}};
}

}  // namespace ampersand
