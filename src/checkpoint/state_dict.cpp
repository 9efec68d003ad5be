// A module's weights as a Python state_dict.
#include <ATen/core/Dict.h>

#include "amp/checkpoint.h"
#include "src/checkpoint/python_dict.h"

namespace amp {

void save_state_dict(const std::filesystem::path& file, const NamedTensors& tensors) {
  c10::impl::GenericDict dict(c10::StringType::get(), c10::TensorType::get());
  for (const auto& [name, tensor] : tensors)
    dict.insert(name, tensor.detach().to(c10::kCPU).contiguous().clone());
  checkpoint::write_python_dict(file, dict);
}

}  // namespace amp
