// Named values in LibTorch's archives, with errors that say what is wrong.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <string>

namespace amp::optim {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

// Each reads a value of its type or throws InvalidArgument.
void read(InputArchive& archive, const std::string& key, bool& value);
void read(InputArchive& archive, const std::string& key, double& value);
void read(InputArchive& archive, const std::string& key, std::int64_t& value);
void read(InputArchive& archive, const std::string& key, std::string& value);
void read(InputArchive& archive, const std::string& key, InputArchive& value);
bool has(InputArchive& archive, const std::string& key);                  // a plain value
at::Tensor read_if_there(InputArchive& archive, const std::string& key);  // else undefined

}  // namespace amp::optim
