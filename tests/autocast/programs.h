// Random calls of ATen's ops: arguments by tests/golden/op_programs.json, dtypes and values by a seed.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/golden.h"

namespace amp::tests {

// An op, and one of the ways to call it.
struct Program {
  std::string name;  // as in the dispatcher, without "aten::"
  c10::OperatorHandle op;
  Json arguments;
  std::uint64_t seed;  // of the values

  bool in_place() const { return op.schema().is_mutable(); }
};

// The arguments of a call. The floating-point tensors among them, in order, have the dtypes that
// were asked for, and the values of the program's seed: they lie on a grid that fp16 and bf16 hold.
struct Call {
  torch::jit::Stack stack;
  std::vector<at::Tensor> leaves;  // which the tensors are clones of, if gradients are wanted
  std::vector<at::Tensor> reals;   // the floating-point tensors as the op gets them
};

// How many floating-point tensors a program has.
std::size_t count_of_reals(const Program& program);

// dtypes: one for each floating-point tensor; the last holds for those that follow.
Call made(const Program& program, const std::vector<c10::ScalarType>& dtypes, bool gradients);

// What a call left: the tensors that it returned, in order, or why it failed.
struct Outcome {
  std::vector<at::Tensor> results;
  std::vector<at::Tensor> gradients;  // of the leaves; empty where there is none
  std::string error, gradient_error;
  bool ran() const { return error.empty(); }
};

// What is done to the inputs between the call and the backward pass.
enum class Afterwards { nothing, change_in_place, change_data };

// Runs the call in the caller's region. With gradients, runs a backward pass from the sum of its
// floating-point results times fixed weights, in double and outside of autocast.
Outcome run(Call call, const c10::OperatorHandle& op, bool gradients,
            Afterwards afterwards = Afterwards::nothing);

// Every program of the file whose op this LibTorch has, in a fixed order.
std::vector<Program> all_programs();

}  // namespace amp::tests
