// Windows by arithmetic: an offset, a stride and an order.
#include "tasks/text/text_windows.h"

#include <algorithm>
#include <string>

#include "amp/error.h"
#include "tasks/common/split_mix.h"

namespace ampersand {
namespace {

constexpr std::uint64_t kOffsets = 0x6f6666736574;  // other numbers than the order's

void check_window(std::int64_t tokens, std::int64_t context) {
  if (context >= 1 && tokens > context) return;
  throw amp::InvalidArgument("TextWindows: context must be at least 1 and below the " +
                             std::to_string(tokens) + " tokens of the text, got " +
                             std::to_string(context));
}

}  // namespace

TextWindows::TextWindows(std::int64_t tokens, std::int64_t context) : context_(context) {
  check_window(tokens, context);
  size_ = (tokens - 1) / context;
}

TextWindows::TextWindows(std::int64_t tokens, std::int64_t context, std::uint64_t seed,
                         std::uint64_t epoch)
    : context_(context) {
  check_window(tokens, context);
  size_ = std::max<std::int64_t>(1, (tokens - context) / context);
  const auto spare = tokens - 1 - size_ * context;  // at least context - 1, but in short texts
  const auto offsets = static_cast<std::uint64_t>(std::min(context, spare + 1));
  offset_ =
      static_cast<std::int64_t>(random_number(epoch_state(seed, epoch) ^ kOffsets, 0) % offsets);
  order_.emplace(size_, seed, epoch);
}

std::int64_t TextWindows::begin(std::int64_t i) const {
  if (i < 0 || i >= size_) {
    throw amp::InvalidArgument("TextWindows: a window must be 0 to " + std::to_string(size_ - 1) +
                               ", got " + std::to_string(i));
  }
  return offset_ + (order_ ? (*order_)[i] : i) * context_;
}

void read_window(const TokenStream& stream, const TextWindows& windows, std::int64_t i,
                 std::span<std::int64_t> inputs, std::span<std::int64_t> targets) {
  const std::int64_t context = windows.context();
  if (std::ssize(inputs) != context || std::ssize(targets) != context) {
    throw amp::InvalidArgument(
        "read_window: inputs and targets must hold " + std::to_string(context) + " tokens, got " +
        std::to_string(inputs.size()) + " and " + std::to_string(targets.size()));
  }
  const std::int64_t begin = windows.begin(i);
  stream.read(begin, inputs);
  stream.read(begin + 1, targets);
}

}  // namespace ampersand
