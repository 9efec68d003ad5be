// Dicts as files that Python's torch.load reads with weights_only=True.
#pragma once

#include <ATen/core/Dict.h>

#include <filesystem>
#include <vector>

namespace amp::checkpoint {

// Writes a dict of tensors on the CPU, numbers and strings, whole or not at all. Throws
// amp::IoError.
void write_python_dict(const std::filesystem::path& file, const c10::impl::GenericDict& dict);

// The same for a pickle and the storages that its persistent ids name, the i-th "data/i": tensors on
// the CPU without gaps.
void write_python_archive(const std::filesystem::path& file, const std::vector<char>& pickle,
                          const std::vector<at::Tensor>& storages);

}  // namespace amp::checkpoint
