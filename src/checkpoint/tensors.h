// Named tensors to and from the safetensors format.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "amp/train_step.h"
#include "src/files/output_file.h"

namespace amp::checkpoint {

void write_tensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                   const files::Sink& sink);
NamedTensors read_tensors(const std::filesystem::path& path);

}  // namespace amp::checkpoint
