// The numbers of tensors, counted.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "amp/inspect/records.h"

namespace amp::inspect {

struct SummaryOptions {
  bool histograms = true;
  std::vector<Format> formats;
};

// Whether there are numbers to count: fp32, fp16, bf16 or fp64, dense or as COO, not empty, in memory
// of the host or of CUDA that is all there. Other layouts and devices, nested tensors, wrappers and what
// has no memory have none. Dispatches no op.
bool has_numbers(const at::Tensor& tensor);
bool has_dense_numbers(const at::Tensor& tensor);  // and in memory that a storage has

// The summary of a tensor that has numbers; of a sparse one, that of its values. It takes a pass or
// two at memory speed.
TensorSummary summary_of(const at::Tensor& tensor, const SummaryOptions& options);

const char* dtype_name(c10::ScalarType dtype);  // "fp16"; torch's own name for others

// "[:, 2, :, :] of [16, 4, 12, 12]": the coordinates that all numbers which are not finite have in
// common. Empty if they have none in common, and for fewer than two numbers.
std::string place_of_non_finite(const at::Tensor& tensor);

}  // namespace amp::inspect
