// What this machine is.
#include "app/results/machine.h"

#include <ATen/Parallel.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "amp/cpu_math.h"
#include "app/settings/processors.h"

namespace ampersand {
namespace {

// The text after "key : " of the first such line of /proc/cpuinfo.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::string half_math_name() {
  if (amp::cpu_half_math()) return "fp32 accumulation, one rounding";
  return amp::cpu_has_native_half() ? "native" : "stock";
}

}  // namespace

std::string cpu_name() { return cpuinfo("model name"); }

std::vector<std::string> cpu_features() {
  static const std::vector<std::pair<std::string, std::string>> kNames = {
      {"avx2", "avx2"},
      {"f16c", "f16c"},
      {"avx512f", "avx512"},
      {"avx512_bf16", "avx512_bf16"},
      {"avx512_fp16", "avx512_fp16"},
      {"amx_bf16", "amx_bf16"},
      {"amx_fp16", "amx_fp16"}};
  std::istringstream words(cpuinfo("flags"));
  const std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> features;
  for (const auto& [flag, name] : kNames) {
    if (std::find(flags.begin(), flags.end(), flag) != flags.end()) features.push_back(name);
  }
  return features;
}

std::int64_t memory_bytes() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::int64_t>(sysconf(_SC_PAGE_SIZE));
}

nlohmann::json machine_json() {
  const bool fastest = amp::cpu_fp32_engine() == amp::CpuFp32Engine::fastest;
  return {{"cpu", cpu_name()},
          {"cores", usable_processors()},
          {"threads", at::get_num_threads()},
          {"memory_bytes", memory_bytes()},
          {"features", cpu_features()},
          {"libtorch", TORCH_VERSION},
          {"compiler", std::string("g++ ") + __VERSION__},
          {"cpu_half_math", half_math_name()},
          {"cpu_fp32_engine", fastest ? "fastest" : "stock"},
          {"cpu_fp32_engine_chosen", amp::cpu_fp32_engine_in_use()},
          {"cpu_fp16_engine_chosen", amp::cpu_half_math() ? amp::cpu_fast_engine() : ""}};
}

}  // namespace ampersand
