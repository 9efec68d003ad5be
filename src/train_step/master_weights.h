// A model kept in low precision, and the fp32 masters that the optimizer works on.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "amp/recipe.h"
#include "src/train_step/model_tensors.h"

namespace amp::train_step {

// Apex's O2 and O3, step by step: the model's floating-point tensors become recipe.model_dtype
// (batch norm per keep_batchnorm_fp32); with master_weights the fp32 values from before the cast
// take the parameters' places in the optimizers' groups, and their state if there is any. With a
// model_dtype of Float nothing happens, here and in any call.
//
// Source: apex.amp.initialize with opt_level O2 and O3 (apex/amp/_initialize.py,
// _process_optimizer.py).
class MasterWeights {
 public:
  using Collect = std::function<std::vector<ModelTensor>()>;  // the model's tensors of now

  MasterWeights(Collect model, const std::vector<torch::optim::Optimizer*>& optimizers,
                const Recipe& recipe);
  ~MasterWeights();
  MasterWeights(const MasterWeights&) = delete;
  MasterWeights& operator=(const MasterWeights&) = delete;

  // Lets the masters follow a model that was changed: by torch::load, copy_, set_data, `.data()`.
  // If a weight is no longer its rounded master, the master takes the weight's value; the
  // optimizer's state stays. A weight that has another dtype now gives its full values, and goes
  // back to the model's dtype. On the CPU every change is seen; elsewhere only a change that shows
  // in the tensor's version or address. Throws InvalidArgument by name for another shape or device,
  // and for fp32 values that torch::load left in the memory of a low-precision weight. Waits for
  // the device only for a weight of another dtype. Call it before each step, and before the masters
  // are read.
  void follow_model();
  // The same, but only for weights of another dtype or shape, which costs nothing. Call it before
  // each forward pass.
  void follow_dtypes();

  // Gives a master to a low-precision weight of the model that was put into the optimizer's groups
  // since: the master takes its place there. Nothing without masters.
  void adopt(torch::optim::Optimizer& optimizer);

  // Adds the model's gradients, in fp32 and still scaled, to those of this optimizer's masters, and
  // clears them. Call it after each backward pass. The tensors that the masters had as gradients
  // stay unchanged.
  void take_gradients(const torch::optim::Optimizer& optimizer);

  // Clears the model's gradients without adding them. Call it after a backward pass that failed.
  void discard_gradients(const torch::optim::Optimizer& optimizer);

  // Rounds this optimizer's masters into the model. Call it after each step that ran. Does not wait
  // for the device.
  void write_back(const torch::optim::Optimizer& optimizer);

  // All tensors that the model has now, parameters as their masters where they have one.
  std::vector<ModelTensor> values();

 private:
  struct Pair {
    std::string name = {};
    at::Tensor model = {}, master = {};
    const torch::optim::Optimizer* owner = nullptr;  // the first that holds it
    // What the model's tensor was when it and its master last agreed.
    c10::ScalarType dtype = c10::ScalarType::Undefined;
    std::uint32_t version = 0;
    const void* data = nullptr;
    std::uint64_t content = 0;

    bool is_unlike() const;  // of another dtype or shape
    bool lies_in_fp32() const;
    bool is_changed() const;
    void agree();  // they do, from now on
    void follow();
  };
  void convert(const std::vector<ModelTensor>& tensors, const Recipe& recipe);
  void know(std::size_t first);  // the pairs from there on
  void move_into(torch::optim::Optimizer& optimizer);

  Collect collect_;
  c10::ScalarType adopted_ = c10::ScalarType::Undefined;  // what gets a master
  std::vector<Pair> pairs_;
};

// The master of a model's weight, of any MasterWeights that lives; undefined if it has none.
at::Tensor master_of(const at::Tensor& weight);

}  // namespace amp::train_step
