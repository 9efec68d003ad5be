// Dicts as files that Python's torch.load reads with weights_only=True.
#pragma once

#include <ATen/core/Dict.h>

#include <filesystem>

namespace amp::checkpoint {

// Writes a dict of tensors on the CPU, numbers and strings, whole or not at all. Throws
// amp::IoError.
void write_python_dict(const std::filesystem::path& file, const c10::impl::GenericDict& dict);

}  // namespace amp::checkpoint
