// The windows of a text that a language model sees, and their order in an epoch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tasks/common/permutation.h"
#include "tasks/text/token_stream.h"

namespace ampersand {

// Windows that do not overlap, each of `context` inputs and the `context` tokens that follow each
// of them. Pure arithmetic: nothing of the text is kept, and no list as long as it.
class TextWindows {
 public:
  // In the order of the text from its first token: for evaluation, and for models that carry their
  // state from window to window. size() is (tokens - 1) / context; what is left over at the end
  // belongs to none.
  TextWindows(std::int64_t tokens, std::int64_t context);

  // Shuffled for an epoch of training. The first window begins at one of the first `context` tokens
  // that seed and epoch draw, so that the borders move; what is drawn is the same on every
  // platform. size() depends on tokens and context alone: (tokens - context) / context, at least 1.
  //
  // Both throw amp::InvalidArgument for a context below 1 and for fewer than context + 1 tokens.
  TextWindows(std::int64_t tokens, std::int64_t context, std::uint64_t seed, std::uint64_t epoch);

  std::int64_t size() const { return size_; }
  std::int64_t context() const { return context_; }

  // The place in the stream of the first input of window i, 0 <= i < size().
  std::int64_t begin(std::int64_t i) const;

 private:
  std::int64_t context_;
  std::int64_t size_;
  std::int64_t offset_ = 0;
  std::optional<Permutation> order_;  // none: that of the text
};

// Fills inputs with the tokens from windows.begin(i) and targets with those one further on; both
// hold windows.context() values. Throws amp::InvalidArgument for other sizes and for an i that is
// not 0 to windows.size() - 1.
void read_window(const TokenStream& stream, const TextWindows& windows, std::int64_t i,
                 std::span<std::int64_t> inputs, std::span<std::int64_t> targets);

}  // namespace ampersand
