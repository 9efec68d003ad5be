// Compiles the kernels once for each target.
#include "src/kernels/cpu/tables.h"

#include "src/kernels/cpu/configure.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/kernels/cpu/tables.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "src/kernels/cpu/adam-inl.h"
#include "src/kernels/cpu/exponents-inl.h"
#include "src/kernels/cpu/fp8-inl.h"
#include "src/kernels/cpu/lamb-inl.h"
#include "src/kernels/cpu/memory-inl.h"
#include "src/kernels/cpu/norm-inl.h"
#include "src/kernels/cpu/sgd-inl.h"
#include "src/kernels/cpu/survey-inl.h"

HWY_BEFORE_NAMESPACE();
namespace amp::kernels::HWY_NAMESPACE {

constexpr Table table_of(const char* target) {
  return {target,   examine, scale, convert, count_exponents, norm_sums,  round_to_grid, encode_8,
          decode_8, survey,  sgd,   adam,    lamb_moments,    lamb_apply, is_rounded};
}

}  // namespace amp::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amp::kernels {

const Table* scalar_table() {
  static constexpr Table table = N_SCALAR::table_of("scalar");
  return &table;
}

const Table* avx2_table() {
#if HWY_TARGETS & HWY_AVX2
  static constexpr Table table = N_AVX2::table_of("avx2");
  return &table;
#else
  return nullptr;
#endif
}

const Table* avx512_table() {
#if HWY_TARGETS & HWY_AVX3
  static constexpr Table table = N_AVX3::table_of("avx512");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace amp::kernels
#endif
