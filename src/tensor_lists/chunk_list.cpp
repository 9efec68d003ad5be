// A list of tensors cut into chunks.
#include "src/tensor_lists/chunk_list.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace amp::tensor_lists {
void ChunkList::clear() {
  chunks_.clear();
  starts_.clear();
  elements_ = 0;
  tensors_ = 0;
}

void ChunkList::add(std::size_t count) {
  for (std::size_t first = 0; first < count; first += kChunk) {
    chunks_.push_back({tensors_, first, std::min(kChunk, count - first)});
    starts_.push_back(elements_ + static_cast<std::int64_t>(first));
  }
  elements_ += static_cast<std::int64_t>(count);
  ++tensors_;
}

void ChunkList::run(c10::function_ref<void(std::size_t chunk)> body) const {
  // A thread takes the chunks that begin in its part of the elements.
  at::parallel_for(0, elements_, kElementsPerThread, [&](std::int64_t begin, std::int64_t end) {
    const auto from = std::lower_bound(starts_.begin(), starts_.end(), begin);
    for (auto i = from; i != starts_.end() && *i < end; ++i)
      body(static_cast<std::size_t>(i - starts_.begin()));
  });
}

}  // namespace amp::tensor_lists
