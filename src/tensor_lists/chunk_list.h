// A list of tensors cut into chunks, and the threads that work on them.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace amp::tensor_lists {

// Elements: large enough that a kernel's call costs nothing, small enough to share out evenly.
inline constexpr std::size_t kChunk = 64 * 1024;
// Below this a second thread takes longer to wake up than the work lasts.
inline constexpr std::int64_t kElementsPerThread = 16 * 1024;

struct Chunk {
  std::size_t tensor;  // its place in the list
  std::size_t first, count;
};

// Tensors of any size, cut at multiples of 64 Ki elements and shared out by elements, so that a
// thousand small tensors and a large one cost the same. Where the cuts are depends on the sizes
// alone: sums that are taken chunk by chunk are the same on any number of threads. Keeps its memory
// when cleared.
class ChunkList {
 public:
  void clear();
  void add(std::size_t count);  // the next tensor

  std::size_t size() const { return chunks_.size(); }
  const Chunk& operator[](std::size_t i) const { return chunks_[i]; }

  // Calls body with the place of each chunk, on at::get_num_threads() threads. It must not throw.
  void run(c10::function_ref<void(std::size_t chunk)> body) const;

 private:
  std::vector<Chunk> chunks_;
  std::vector<std::int64_t> starts_;  // the first element of each chunk, counted in the whole list
  std::int64_t elements_ = 0;
  std::size_t tensors_ = 0;
};

}  // namespace amp::tensor_lists
