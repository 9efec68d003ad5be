// What is allocated while one looks: by operator new anywhere, and by LibTorch's CPU allocator on
// this thread. Include it in one source file of a test: it replaces operator new.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "tests/support/live_bytes.h"

namespace amp::tests {

inline std::atomic<bool> count_news = false;
inline std::atomic<std::int64_t> news = 0;

class Allocations {
 public:
  Allocations() {
    news = 0;
    count_news = true;
  }
  ~Allocations() { count_news = false; }
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  std::int64_t count() const { return news + tensors_.allocations(); }
  std::int64_t live_tensor_bytes() const { return tensors_.now(); }

 private:
  LiveBytes tensors_;
};

inline void* counted_allocation(std::size_t size, std::size_t alignment) {
  if (count_news) ++news;
  const auto whole = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Not inline: where GCC inlines `delete` alone, it takes free() for the wrong end of `new`.
[[gnu::noinline]] inline void counted_release(void* memory) { std::free(memory); }

}  // namespace amp::tests

void* operator new(std::size_t size) { return amp::tests::counted_allocation(size, 16); }
void* operator new[](std::size_t size) { return amp::tests::counted_allocation(size, 16); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return amp::tests::counted_allocation(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return amp::tests::counted_allocation(size, static_cast<std::size_t>(alignment));
}
// Of their own under AddressSanitizer, which would miss its partner in the `delete` below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return amp::tests::counted_allocation(size, 16);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return amp::tests::counted_allocation(size, 16);
}
void operator delete(void* memory) noexcept { amp::tests::counted_release(memory); }
void operator delete[](void* memory) noexcept { amp::tests::counted_release(memory); }
void operator delete(void* memory, std::size_t) noexcept { amp::tests::counted_release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { amp::tests::counted_release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
  amp::tests::counted_release(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  amp::tests::counted_release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  amp::tests::counted_release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  amp::tests::counted_release(memory);
}
