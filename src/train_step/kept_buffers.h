// The buffers of a model as they were before a step that may be skipped.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "src/train_step/model_tensors.h"

namespace amp::train_step {

// Keeps copies of buffers, such as running statistics, to put them back. A buffer of up to kSmall
// bytes is copied at each keep(). A larger one, such as a mask or a table, is copied again only
// when its version or its address shows a change, and at each keep() from then on. So the first
// change of a large buffer that shows in neither, for example through `.data()`, is not taken back.
class KeptBuffers {
 public:
  static constexpr std::size_t kSmall = 256 * 1024;

  void watch(std::vector<BufferPlace> places);

  void keep();         // as they are now
  void note_end();     // of what put_back() is to take back: later changes are somebody else's
  void keep_others();  // those that were changed since note_end()

  void put_back();
  // The same, if `flag` (one element, on the buffers' device) is not zero. The device decides, so
  // it does not wait.
  void put_back_where(const at::Tensor& flag);

 private:
  struct Kept {
    BufferPlace place;
    at::Tensor tensor = {};  // which was there
    at::Tensor copy = {};    // its values
    // What the tensor was when it was copied, and at note_end().
    std::uint32_t version = 0, end_version = 0;
    const void *data = nullptr, *end_data = nullptr;
    bool changes = false;  // a large one that was seen to

    bool is_copied_always() const;
    bool is_as_copied(const at::Tensor& now) const;
    void keep();
    void put_back();
  };
  std::vector<Kept> kept_;
};

}  // namespace amp::train_step
