// How often the process waits for a CUDA device. Include it in one source file of a test whose target
// exports its symbols: what is defined here stands before CUDA's own runtime, which it passes on to.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <cstddef>

namespace amp::tests {

inline std::atomic<int> cuda_waits = 0;

// CUDA's function of that name, once more counted.
template <typename Function>
Function* counted_wait(const char* name) {
  ++cuda_waits;
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace amp::tests

// As in cuda_runtime_api.h, with its pointers and enumerations as plain types: no toolkit is needed.
extern "C" {
__attribute__((visibility("default"))) int cudaStreamSynchronize(void* stream) {
  return amp::tests::counted_wait<int(void*)>("cudaStreamSynchronize")(stream);
}
__attribute__((visibility("default"))) int cudaEventSynchronize(void* event) {
  return amp::tests::counted_wait<int(void*)>("cudaEventSynchronize")(event);
}
__attribute__((visibility("default"))) int cudaDeviceSynchronize() {
  return amp::tests::counted_wait<int()>("cudaDeviceSynchronize")();
}
__attribute__((visibility("default"))) int cudaMemcpy(void* to, const void* from, std::size_t count,
                                                      int kind) {
  return amp::tests::counted_wait<int(void*, const void*, std::size_t, int)>("cudaMemcpy")(
      to, from, count, kind);
}
}
