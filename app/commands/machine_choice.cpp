// The machine that a command computes on.
#include "app/commands/machine_choice.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "amp/cpu_math.h"
#include "amp/error.h"
#include "app/settings/processors.h"

namespace ampersand {
namespace {

#ifdef AMP_CUDA
constexpr const char* kCudaAbsent = "there is no CUDA device here";
#else
constexpr const char* kCudaAbsent =
    "this program was built for the CPU alone (the CMake preset `cuda` links LibTorch's CUDA part)";
#endif

}  // namespace

void set_fp32_engine(const std::string& name) {
  if (name != "stock" && name != "fastest") {
    throw amp::InvalidArgument("--cpu-fp32-engine must be stock or fastest, got '" + name + "'");
  }
  amp::set_cpu_fp32_engine(name == "stock" ? amp::CpuFp32Engine::stock
                                           : amp::CpuFp32Engine::fastest);
}

void check_device(const std::string& device) {
  if (device == "cpu") return;
  if (device != "cuda") {
    throw amp::InvalidArgument("--device must be cpu or cuda, got '" + device + "'");
  }
  if (!at::hasCUDA()) {
    throw amp::UnsupportedError("--device cuda: " + std::string(kCudaAbsent) +
                                "; use --device cpu");
  }
}

void set_threads(std::int64_t threads) {
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : usable_processors()));
}

}  // namespace ampersand
