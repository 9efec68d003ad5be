// What distinguishes the optimizers from each other: options, buffers and arithmetic.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/kernels/philox.h"
#include "src/optim/check_options.h"
#include "src/optim/group_options.h"
#include "src/optim/parameter_state.h"
#include "src/tensor_lists/chunk_list.h"
#include "src/tensor_lists/operands.h"

namespace amp::optim {

using torch::optim::OptimizerOptions;

// One parameter's update by ATen: tensors in the dtype of the arithmetic, on one device.
struct TensorOperands {
  at::Tensor gradient;
  at::Tensor weight, first, second, largest;  // replaced by their new values, never written
  at::Tensor step;                            // fp64, 0-dim: this step's number, from 1
  at::Tensor momentum_step;                   // fp64, 0-dim: the momentum's own
  // Gives a new moment as it will be once it is stored: itself, or rounded at random to bf16.
  std::function<at::Tensor(const at::Tensor& moment, kernels::Stream stream)> stored;
};

// Many updates in one call of ATen. The lists have the same length, and their tensors one dtype and
// one device; the tensors of one parameter have the same order of dimensions. All but the gradients
// are written in place.
struct TensorLists {
  std::vector<at::Tensor> gradients, weights, first, second, largest;
  std::vector<at::Tensor> steps;        // fp32, 0-dim: each one's number of this step, from 1
  std::optional<at::Tensor> found_inf;  // fp32, 0-dim: 1: nothing changes; 0 or none: it does
};

class Algorithm {
 public:
  virtual ~Algorithm() = default;

  virtual const char* name() const = 0;
  virtual bool takes(const OptimizerOptions& options) const = 0;  // whether they are of its type
  virtual void check(const OptimizerOptions& options, const std::string& who) const = 0;
  // Takes over what was written through torch::optim's type. Throws InvalidArgument with the group.
  virtual void settle(OptimizerOptions& options, std::size_t group) const = 0;
  // Makes our options from torch::optim's of the same algorithm, and takes what those lack from
  // `rest` and `memory`; null if they are of another type.
  virtual std::unique_ptr<OptimizerOptions> adopted(const OptimizerOptions& options,
                                                    const OptimizerOptions& rest,
                                                    const MemoryOptions& memory,
                                                    const std::string& who) const = 0;
  virtual const MemoryOptions& memory(const OptimizerOptions& options) const = 0;
  virtual Buffers buffers(const OptimizerOptions& options) const = 0;

  // For the kernels: add() each parameter's constants in the order of the list, then run() the
  // list.
  virtual void clear() = 0;
  virtual void add(const OptimizerOptions& options, const Counters& now) = 0;
  virtual void run(const std::vector<tensor_lists::Operands>& list,
                   const tensor_lists::ChunkList& chunks) = 0;

  virtual void update(const OptimizerOptions& options, TensorOperands& operands) const = 0;
  // Whether ATen has the same arithmetic over lists.
  virtual bool takes_lists(const OptimizerOptions&) const { return false; }
  virtual void update_lists(const OptimizerOptions&, TensorLists&) const {}
};

std::unique_ptr<Algorithm> algorithm_for(const SGDOptions&);
std::unique_ptr<Algorithm> algorithm_for(const AdamOptions&);
std::unique_ptr<Algorithm> algorithm_for(const AdamWOptions&);
std::unique_ptr<Algorithm> algorithm_for(const LambOptions&);

// What follows from the type of the options.
template <typename Options>
class AlgorithmOf : public Algorithm {
 public:
  const char* name() const override { return name_of(static_cast<const Options*>(nullptr)); }
  bool takes(const OptimizerOptions& options) const override {
    return are_group_options<Options>(options);
  }
  void check(const OptimizerOptions& options, const std::string& who) const override {
    optim::check(of(options), who);
  }
  void settle(OptimizerOptions& options, std::size_t group) const override {
    optim::settle<Options>(options, group);
  }
  std::unique_ptr<OptimizerOptions> adopted(const OptimizerOptions& options,
                                            const OptimizerOptions& rest,
                                            const MemoryOptions& memory,
                                            const std::string& who) const override {
    auto own = of(rest);
    own.memory = memory;
    return optim::adopted(options, own, who);
  }
  const MemoryOptions& memory(const OptimizerOptions& options) const override {
    return of(options).memory;
  }

 protected:
  static const Options& of(const OptimizerOptions& options) { return options_of<Options>(options); }
};

}  // namespace amp::optim
