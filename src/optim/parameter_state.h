// What an optimizer keeps of a parameter from one step to the next.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstdint>

#include "amp/optim/memory.h"
#include "src/optim/archive.h"

namespace amp::optim {

// Which buffers an optimizer with these options works on.
struct Buffers {
  bool first = false;    // momentum, or m
  bool second = false;   // v
  bool largest = false;  // amsgrad's largest v
};

struct Counters {
  std::int64_t steps = 0;           // that were not skipped
  std::int64_t momentum_steps = 0;  // those of them that `first` has seen
};

struct ParameterState final : torch::optim::OptimizerCloneableParamState<ParameterState> {
  Counters counters;
  // int64, {steps, momentum_steps}, on the parameter's device: in the place of `counters` once a
  // step whose outcome the host does not know has been taken.
  at::Tensor device_counters;
  at::Tensor first, second, largest;  // dtype of the arithmetic, or bf16; strides of the parameter
  at::Tensor master;                  // fp32
  at::Tensor extra;                   // split: int16; kahan: dtype of the parameter
  std::uint32_t version = 0;          // the parameter's, when it was written or read here

  Counters current_counters() const;  // waits for the device where they are there
  void serialize(OutputArchive& archive) const override;
  void serialize(InputArchive& archive) override;
};

// By the address of the parameter, as torch::optim keeps them; each is a ParameterState.
using States = ska::flat_hash_map<void*, std::unique_ptr<torch::optim::OptimizerParamState>>;

// fp64 for fp64 parameters, else fp32.
c10::ScalarType arithmetic_dtype(const at::Tensor& parameter);

// Returns a copy of the values in the parameter's order of dimensions, to the last stride.
at::Tensor in_order_of(const at::Tensor& parameter, const at::Tensor& values,
                       c10::ScalarType dtype);

// Makes a state for this parameter, without buffers. Master and extra stand for its present value.
std::unique_ptr<ParameterState> first_state(const at::Tensor& parameter,
                                            const MemoryOptions& memory);

// Adds the buffers that are missing, filled with zeros.
void add_buffers(ParameterState& state, const at::Tensor& parameter, const Buffers& buffers,
                 const MemoryOptions& memory);

// Whether first_state and add_buffers would make tensors like these, of any subset of the buffers.
bool fits(const ParameterState& state, const at::Tensor& parameter, const MemoryOptions& memory);

// Copies of the tensors on the parameter's device, with its strides.
void move_to(ParameterState& state, const at::Tensor& parameter);

// The same after the parameter's dtype or order of dimensions has changed: converts the buffers,
// and makes master and extra anew. Returns false if its shape has changed, too.
bool adapt(ParameterState& state, const at::Tensor& parameter, const MemoryOptions& memory);

}  // namespace amp::optim
