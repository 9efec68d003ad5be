// Which parameters and gradients an optimizer takes.
#pragma once

#include <torch/optim/optimizer.h>

#include <vector>

#include "src/optim/algorithm.h"
#include "src/optim/entry.h"

namespace amp::optim {

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

// Each throws InvalidArgument by name for what the optimizer cannot take.
[[noreturn]] void refuse_options(const Algorithm& algorithm, const OptimizerOptions& options,
                                 std::size_t group);
void check_group(const Algorithm& algorithm, const torch::optim::OptimizerParamGroup& group,
                 std::size_t number);
void check_parameter(const Algorithm& algorithm, const at::Tensor& parameter,
                     const MemoryOptions& memory, std::size_t group, std::size_t index);
void check_distinct(const Algorithm& algorithm, const Groups& groups);
void check_gradient(const Algorithm& algorithm, const Slot& slot, const at::Tensor& gradient);

}  // namespace amp::optim
