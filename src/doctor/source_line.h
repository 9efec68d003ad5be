// Where in a TorchScript model's source an op is.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <string>

namespace amp::doctor {

// "model.py:12", or "model.py:12 or model.py:15" if the submodule calls the op twice; empty if it
// is not known. module: "blocks.0"; empty: the model itself. op: "exp".
std::string source_line(const torch::jit::Module& model, const std::string& module,
                        const std::string& op);

}  // namespace amp::doctor
