// Windows of a text in batches.
#pragma once

#include "tasks/common/task_settings.h"
#include "tasks/text/text_windows.h"

namespace ampersand {

// Inputs: tokens [batch, context], int64. Targets: of the same shape, the token that follows each.
class TextBatches : public Batches {
 public:
  // shuffled: windows for training, whose borders and order an epoch draws; else those of the text in
  // its order, for testing. Throws amp::InvalidArgument for a batch size below 1 and for a stream
  // without a whole window.
  TextBatches(TokenStream stream, std::int64_t context, std::int64_t batch_size, bool shuffled);

  std::int64_t samples() const override { return windows_.size(); }
  std::int64_t batch_size() const override { return batch_size_; }
  void shuffle(std::uint64_t seed, std::uint64_t epoch) override;
  Batch get(std::int64_t i) const override;

 private:
  TokenStream stream_;
  std::int64_t batch_size_;
  bool shuffled_;
  TextWindows windows_;
};

}  // namespace ampersand
