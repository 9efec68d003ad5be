// Finds the processor's instruction sets, and the table that uses the best of them.
#include "src/kernels/dispatch.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "amp/error.h"
#include "src/kernels/cpu/tables.h"

namespace amp::kernels {
namespace {

// What the compiler may use in each target's code; the operating system's part, saving the wide
// registers, is in these answers.
bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

constexpr const char* kBestFirst[] = {"avx512", "avx2", "scalar"};

std::string present() {
  std::string names;
  for (const char* target : kBestFirst) {
    if (find(target) != nullptr) names += (names.empty() ? "" : ", ") + std::string(target);
  }
  return names;
}

}  // namespace

const Table& scalar() { return *scalar_table(); }

const Table* find(const char* target) {
  const std::string_view name = target;
  if (name == "reference") return &reference();
  if (name == "scalar") return scalar_table();
  if (name == "avx2" && has_avx2()) return avx2_table();
  if (name == "avx512" && has_avx512()) return avx512_table();
  return nullptr;
}

const Table& choose(const char* forced) {
  const std::string_view wanted = forced == nullptr ? "" : forced;
  for (const char* target : kBestFirst) {
    const Table* found = find(target);
    if (found != nullptr && (wanted.empty() || wanted == target)) return *found;
  }
  throw UnsupportedError("AMP_FORCE_TARGET must name a target of this processor and build (" +
                         present() + "), got \"" + std::string(wanted) +
                         "\": name one of these, or unset it for the best");
}

const Table& table() {
  static const Table& chosen = choose(std::getenv("AMP_FORCE_TARGET"));
  return chosen;
}

}  // namespace amp::kernels
