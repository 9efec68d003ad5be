// The lists that a policy can begin with.
#pragma once

#include <c10/core/DeviceType.h>

#include <memory>
#include <string>

#include "src/op_policy/table.h"

namespace amp::op_policy {

struct List {
  std::string name;       // in JSON
  const char* described;  // in a sentence
  std::shared_ptr<const Table> table;
};

// Throws InvalidArgument, with the nearest name, for one that no list has.
const List& list(const std::string& name);
// Of CPU or CUDA.
const List& torch_list(c10::DeviceType device);
const List& fast_list(c10::DeviceType device);

// Whether this op can follow the rule fp32_inside: LibTorch's kernel or ours computes so, or the op
// is among those whose operands are widened before and whose results are rounded after
// (inside_table.h).
bool can_follow_fp32_inside(const std::string& op);

// Whether LibTorch's kernels of the op read fp16 and bf16, compute in fp32 and round once; of
// cross_entropy_loss, ours does. op: a listed op's name, with its overload.
bool computes_in_fp32_inside(const std::string& op);

}  // namespace amp::op_policy
