// The process's choices for CPU products.
#include "src/cpu_math/switches.h"

#include <cpuid.h>

#include <atomic>
#include <mutex>

#include "amp/error.h"
#include "src/cpu_math/engines.h"
#include "src/cpu_math/single_copy.h"

namespace amp {
namespace {

// used: the dtype was asked for, and the processor has arithmetic for it.
enum class LowPrecisionMath { untouched, used, wanted, switched_on, switched_off };

std::atomic<LowPrecisionMath> half_math{LowPrecisionMath::untouched};
std::atomic<LowPrecisionMath> bf16_math{LowPrecisionMath::untouched};
std::atomic<CpuFp32Engine> fp32_engine{CpuFp32Engine::stock};

// 0: not chosen yet; else 1 + Engine.
std::atomic<int> chosen_engine{0};
std::mutex choosing;

// CPUID leaf 7: AVX512-FP16 is EDX bit 23 of subleaf 0, AMX-FP16 is EAX bit 21 of subleaf 1.
bool find_native_half() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool avx512_fp16 = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && ((d >> 23) & 1u) != 0;
  const bool amx_fp16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && ((a >> 21) & 1u) != 0;
  return avx512_fp16 || amx_fp16;
}

// What oneDNN asks of a processor before it multiplies in bf16. AVX-512 without bf16 instructions
// is enough: it then widens inside its kernels.
bool find_native_bf16() {
  return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0;
}

void want(std::atomic<LowPrecisionMath>& math, bool native) {
  auto expected = LowPrecisionMath::untouched;
  math.compare_exchange_strong(expected,
                               native ? LowPrecisionMath::used : LowPrecisionMath::wanted);
}

bool is_on(const std::atomic<LowPrecisionMath>& math) {
  const auto now = math.load(std::memory_order_relaxed);
  return now == LowPrecisionMath::wanted || now == LowPrecisionMath::switched_on;
}

std::string engine_name(cpu_math::Engine engine) {
  return engine == cpu_math::Engine::onednn ? "onednn" : "mkl";
}

}  // namespace

namespace cpu_math {

void want_low_precision_math(c10::ScalarType dtype) {
  const bool half = dtype == c10::kHalf, bf16 = dtype == c10::kBFloat16;
  if (half || (bf16 && !cpu_has_native_bf16())) check_single_copy();
  if (half) want(half_math, cpu_has_native_half());
  if (bf16) want(bf16_math, cpu_has_native_bf16());
}

bool half_math_on() { return is_on(half_math); }
bool bf16_math_on() { return is_on(bf16_math); }
bool widens(c10::ScalarType dtype) {
  return (dtype == c10::kHalf && half_math_on()) || (dtype == c10::kBFloat16 && bf16_math_on());
}

bool sums_norms(c10::ScalarType dtype) {
  const auto holds = [](const std::atomic<LowPrecisionMath>& math) {
    return is_on(math) || math.load(std::memory_order_relaxed) == LowPrecisionMath::used;
  };
  return (dtype == c10::kHalf && holds(half_math)) || (dtype == c10::kBFloat16 && holds(bf16_math));
}

bool fp32_fastest() {
  return fp32_engine.load(std::memory_order_relaxed) == CpuFp32Engine::fastest;
}

Engine fast_engine() {
  if (const int known = chosen_engine.load(std::memory_order_acquire))
    return static_cast<Engine>(known - 1);
  const std::lock_guard lock(choosing);
  if (const int known = chosen_engine.load()) return static_cast<Engine>(known - 1);
  const auto engine = measure_fast_engine();
  chosen_engine.store(1 + static_cast<int>(engine), std::memory_order_release);
  return engine;
}

}  // namespace cpu_math

bool cpu_has_native_half() {
  static const bool native = find_native_half();
  return native;
}

bool cpu_has_native_bf16() {
  static const bool native = find_native_bf16();
  return native;
}

void set_cpu_half_math(bool on) {
  cpu_math::check_single_copy();
  half_math.store(on ? LowPrecisionMath::switched_on : LowPrecisionMath::switched_off);
}

void set_cpu_bf16_math(bool on) {
  cpu_math::check_single_copy();
  bf16_math.store(on ? LowPrecisionMath::switched_on : LowPrecisionMath::switched_off);
}

bool cpu_half_math() {
  cpu_math::check_single_copy();
  return cpu_math::half_math_on();
}

bool cpu_bf16_math() {
  cpu_math::check_single_copy();
  return cpu_math::bf16_math_on();
}

void set_cpu_fp32_engine(CpuFp32Engine engine) {
  cpu_math::check_single_copy();
  fp32_engine.store(engine);
}

CpuFp32Engine cpu_fp32_engine() {
  cpu_math::check_single_copy();
  return fp32_engine.load();
}

std::string cpu_fp32_engine_in_use() {
  cpu_math::check_single_copy();
  return cpu_math::fp32_fastest() ? cpu_fast_engine() : "mkl";
}

std::string cpu_fast_engine() {
  cpu_math::check_single_copy();
  return engine_name(cpu_math::fast_engine());
}

void fix_cpu_fast_engine(const std::string& name) {
  cpu_math::check_single_copy();
  if (name != "mkl" && name != "onednn") {
    throw InvalidArgument("fix_cpu_fast_engine: the engine must be 'mkl' or 'onednn', got '" +
                          name + "'");
  }
  const auto engine = name == "onednn" ? cpu_math::Engine::onednn : cpu_math::Engine::mkl;
  if (engine == cpu_math::Engine::onednn && !cpu_math::has_onednn()) {
    throw UnsupportedError("fix_cpu_fast_engine: this LibTorch has no oneDNN products; use 'mkl'");
  }
  const std::lock_guard lock(choosing);
  chosen_engine.store(1 + static_cast<int>(engine));
}

}  // namespace amp
