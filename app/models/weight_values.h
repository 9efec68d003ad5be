// Values of weights that a training or a file cannot take.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

#include "app/models/model.h"

namespace ampersand {

// The tensor in `dtype`. Throws amp::InvalidArgument for a finite value that would become Inf, naming
// tensor and value, the largest one that fits, and a dtype that holds it; with `saturate` it becomes
// the largest one. `who` begins the message: an option, or a file. What is no floating-point tensor,
// NaN and Inf stay.
at::Tensor narrowed(const std::string& who, const std::string& name, const at::Tensor& tensor,
                    c10::ScalarType dtype, bool saturate = false);

// Of a whole list.
amp::NamedTensors narrowed(const std::string& who, const amp::NamedTensors& weights,
                           c10::ScalarType dtype, bool saturate = false);

// The model's parameters and buffers by name.
amp::NamedTensors weights_of(Model& model);

// Throws amp::IoError for `file`, where the weights are from, when a parameter holds NaN or Inf, or a
// buffer NaN (masks may be of -Inf): with the first tensor, its count, and how many such tensors.
void check_finite(Model& model, const std::filesystem::path& file);

// Throws as narrowed() does for weights that a training that keeps them in `dtype` would overflow.
void check_range(Model& model, c10::ScalarType dtype);

}  // namespace ampersand
