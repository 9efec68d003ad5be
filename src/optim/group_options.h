// The options of a group as torch::optim wants them: cloned, saved, set by schedulers, and written
// through torch::optim's own type of options. Its headers stay in the source file: they take 8
// seconds to compile.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstddef>
#include <memory>
#include <string>

#include "amp/optim.h"

namespace amp::optim {

constexpr const char* name_of(const SGDOptions*) { return "SGD"; }
constexpr const char* name_of(const AdamOptions*) { return "Adam"; }
constexpr const char* name_of(const AdamWOptions*) { return "AdamW"; }
constexpr const char* name_of(const LambOptions*) { return "Lamb"; }

// Makes the options of a group. They derive from torch::optim's of the same algorithm.
template <typename Options>
std::unique_ptr<torch::optim::OptimizerOptions> group_options(const Options& options);

// Whether group_options<Options> made them. All functions below need such options.
template <typename Options>
bool are_group_options(const torch::optim::OptimizerOptions& options);

template <typename Options>
const Options& options_of(const torch::optim::OptimizerOptions& group);
template <typename Options>
void assign(torch::optim::OptimizerOptions& group, const Options& options);

// Takes over what was written through torch::optim's type. Throws InvalidArgument, with the number
// of the group, for what the optimizer does not take; then options_of() gives what it gave.
template <typename Options>
void settle(torch::optim::OptimizerOptions& options, std::size_t group);

// torch::optim's options of the same algorithm as ours, with what they lack taken from `rest`.
// Throws as settle does.
template <typename Options>
Options from_torch(const typename TorchOptionsOf<Options>::type& options, const Options& rest);
// The same for options whose type is only known at run time; null if the type is another.
template <typename Options>
std::unique_ptr<torch::optim::OptimizerOptions> adopted(
    const torch::optim::OptimizerOptions& options, const Options& rest, const std::string& who);

}  // namespace amp::optim
