// Puts Ampersand's kernels on LibTorch's autocast keys, and those of whole ops on its CPU key: once, when
// libamp is loaded, and for good. Without an amp::Autocast on the thread the former do what torch's do.
#include <torch/library.h>

#include "src/cpu_math/single_copy.h"
#include "src/ops/attention_module.h"
#include "src/ops/flash_attention.h"
#include "src/ops/kernel_parts.h"
#include "src/ops/layer_norm.h"
#include "src/ops/rnn_layer.h"

namespace amp::ops {
namespace {

bool register_once() {
  if (!cpu_math::is_first_copy()) return false;
  const cpu_math::NoWarnings silence;
  static auto* cpu = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::AutocastCPU,
                                        __FILE__, __LINE__);
  static auto* cuda = new torch::Library(torch::Library::IMPL, "aten",
                                         c10::DispatchKey::AutocastCUDA, __FILE__, __LINE__);
  register_acos_to_einsum(*cpu, *cuda);
  register_erfinv_to_linalg(*cpu, *cuda);
  register_linalg_to_prelu(*cpu, *cuda);
  register_prod_to_view(*cpu, *cuda);
  register_fast_lists(*cpu, *cuda);
  register_attention_module(*cpu, *cuda);
  register_inside_add_to_renorm(*cpu, *cuda);
  register_inside_rsqrt_to_xlogy(*cpu, *cuda);
  static auto* dense =
      new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  register_flash_attention(*dense);
  register_layer_norm(*dense);
  register_rnn_layer(*dense);
  return true;
}

[[maybe_unused]] const bool registered = register_once();

}  // namespace
}  // namespace amp::ops
