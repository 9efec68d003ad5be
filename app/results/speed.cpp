// How fast this machine multiplies in each format.
#include "app/results/speed.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "amp/cpu_math.h"
#include "app/results/machine.h"

namespace ampersand {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median_seconds(int repeats, const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) seconds.push_back(seconds_of(work));
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  return seconds[static_cast<std::size_t>(repeats / 2)];
}

double product_gflops(c10::ScalarType dtype, std::int64_t size, int repeats) {
  const auto a = at::ones({size, size}, dtype);
  const auto b = at::ones({size, size}, dtype);
  const double operations = 2.0 * static_cast<double>(size * size * size);
  return operations / median_seconds(repeats, [&] { at::mm(a, b); }) * 1e-9;
}

bool has(const std::string& feature) {
  const auto features = cpu_features();
  return std::find(features.begin(), features.end(), feature) != features.end();
}

}  // namespace

std::vector<FormatSpeed> measure_formats() {
  const c10::InferenceMode no_autograd;
  constexpr std::int64_t kSize = 1024;
  constexpr int kRepeats = 9;
  const auto engine = amp::cpu_fp32_engine();
  const bool half_math = amp::cpu_half_math();
  std::vector<FormatSpeed> speeds;

  amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock);
  speeds.push_back(
      {"fp32", "LibTorch's (MKL)", true, product_gflops(c10::kFloat, kSize, kRepeats)});
  amp::set_cpu_fp32_engine(amp::CpuFp32Engine::fastest);
  speeds.push_back({"fp32", "fastest: " + amp::cpu_fast_engine(), true,
                    product_gflops(c10::kFloat, kSize, kRepeats)});
  amp::set_cpu_fp32_engine(engine);
  const bool native_bf16 = has("avx512_bf16") || has("amx_bf16");
  speeds.push_back(
      {"bf16", "LibTorch's", native_bf16, product_gflops(c10::kBFloat16, kSize, kRepeats)});

  const bool native_fp16 = amp::cpu_has_native_half();
  amp::set_cpu_half_math(false);
  // Without fp16 arithmetic this takes a second at full size.
  speeds.push_back({"fp16", "LibTorch's", native_fp16,
                    product_gflops(c10::kHalf, native_fp16 ? kSize : 256, 3)});
  amp::set_cpu_half_math(true);
  speeds.push_back({"fp16", "fp32 accumulation: " + amp::cpu_fast_engine(), native_fp16,
                    product_gflops(c10::kHalf, kSize, kRepeats)});
  amp::set_cpu_half_math(half_math);
  return speeds;
}

double measure_copy() {
  const c10::InferenceMode no_autograd;
  constexpr std::int64_t kElements = 32'000'000;
  const auto from = at::ones({kElements});
  auto to = at::empty_like(from);
  return 2.0 * 4.0 * static_cast<double>(kElements) / median_seconds(7, [&] { to.copy_(from); }) *
         1e-9;
}

}  // namespace ampersand
