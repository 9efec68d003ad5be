// FusedOptimizer: what SGD, Adam, AdamW and Lamb have in common.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "amp/export.h"
#include "amp/optim/scaled_step.h"

namespace torch::optim {
struct SGDOptions;
struct AdamOptions;
struct AdamWOptions;
}  // namespace torch::optim

namespace amp::optim {

// torch::optim's options of the same algorithm, as `type`.
template <typename Options>
struct TorchOptionsOf;

// The parameters of a group, and how they are trained.
template <typename Options>
struct ParamGroup {
  std::vector<at::Tensor> parameters;
  Options options = {};
};

class Algorithm;

// A torch::optim::Optimizer: groups, zero_grad, LibTorch's schedulers, torch::save and torch::load
// work as with LibTorch's own. Parameters are fp32, bf16, fp16 or fp64 leaves on any device, dense
// and without overlap, in any order of dimensions. Gradients are fp32, bf16, fp16 or fp64 of the
// same shape and device, whatever the parameter's dtype; sparse ones are made dense first. On the
// CPU all but fp64 parameters go through the library's own kernels, and a step after the first
// allocates nothing. The rest goes through ATen, on a GPU without waiting for it.
//
// A bf16 or fp16 parameter that was changed in place between two steps keeps its new value where it
// differs from its rounded master, so weights may be loaded at any time. On a GPU, and under
// WeightChecks::trusting, this holds for changes that raise the version (`copy_`), and not for
// those through `.data()` or a pointer.
//
// Everything that can be refused is refused before anything is changed: InvalidArgument names the
// group, the parameter, its shape, the rule and the remedy.
class AMP_API FusedOptimizer : public torch::optim::Optimizer, public ScaledStep {
 public:
  ~FusedOptimizer() override;
  FusedOptimizer(FusedOptimizer&&) noexcept;
  FusedOptimizer& operator=(FusedOptimizer&&) noexcept;

  // Updates every parameter that has a gradient, in one pass, and leaves the gradients as they are.
  // closure: is called first, with gradients enabled; its loss is returned. Does not wait.
  at::Tensor step(LossClosure closure = nullptr) override;

  // Makes two passes in one call. The first reads the gradients: for max_grad_norm, and with an
  // inv_scale for Inf and NaN. The second unscales, clips by min(1, max_grad_norm / (norm + 1e-6))
  // and updates. It is left out if a scaled gradient was not finite; then no parameter, moment or
  // counter changes. Without max_grad_norm and inv_scale there is one pass, and both results are
  // undefined. Unscaled fp16 gradients are written back as fp32 ones. Does not wait for a GPU
  // unless parameters are on the CPU, too.
  // Source: torch::nn::utils::clip_grad_norm_, PyTorch 2.11, for the factor.
  StepOutcome fused_step(const FusedStepOptions& options) override;

  // The first pass alone. inv_scale may be undefined. Both results are undefined if no parameter
  // has a gradient.
  StepOutcome examine(const at::Tensor& inv_scale) override;

  // The parameters on the CPU whose gradient was Inf or NaN, scaled or unscaled, when a first pass
  // last looked, in the order of the groups. The pass keeps a flag for each parameter anyway, so
  // this costs nothing.
  const std::vector<at::Tensor>& non_finite_parameters() const override;

  bool takes_scaled_gradients() const override { return true; }
  bool has_fused_step() const override { return true; }
  void scaled_step(const at::Tensor& inv_scale, const at::Tensor& found_inf) override;

  // Adds a group. Its options are this optimizer's, or torch::optim's of the same algorithm;
  // without options it gets the defaults.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);

  // The fp32 value of one of its parameters: the master weight, or what the parameter and the bits
  // beside it stand for. It shares no memory with the training.
  at::Tensor fp32_weight(const at::Tensor& parameter) const;

  // Bytes of the bf16 or fp16 copies of fp32 parameters that its steps write for autocast.
  std::int64_t copy_bytes() const;

  // They save and load options, counters, moments and masters, bit for bit. Loading refuses a state
  // of another optimizer, number of parameters, shape, dtype or memory options, and then changes
  // nothing. Both wait for the device.
  void save(torch::serialize::OutputArchive& archive) const override;
  void load(torch::serialize::InputArchive& archive) override;

 protected:
  FusedOptimizer(std::unique_ptr<Algorithm> algorithm,
                 std::vector<torch::optim::OptimizerParamGroup> groups,
                 std::unique_ptr<torch::optim::OptimizerOptions> defaults);
  void check_group(std::size_t group) const;  // throws InvalidArgument if there is none
  // Takes over what users wrote into the options of the groups. Throws InvalidArgument by group.
  void settle() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A FusedOptimizer and its type of options. Its constructors also take what torch::optim's take: a
// list of torch::optim::OptimizerParamGroup, torch::optim's own options, a bare learning rate.
//
// The options of a group in param_groups() derive from torch::optim's of the same algorithm, Lamb's
// from torch::optim::AdamWOptions (without amsgrad, which it refuses). So
//
//   static_cast<torch::optim::SGDOptions&>(optimizer.param_groups()[0].options()).lr(0.01);
//
// is in force from the next step on, and is checked there. So are options of torch::optim that
// set_options() puts into a group. torch::optim has no `maximize` and `memory`: the group keeps its
// own.
template <typename Options>
class AMP_API OptimizerOf : public FusedOptimizer {
 public:
  using TorchOptions = typename TorchOptionsOf<Options>::type;
  template <typename Given>
  static constexpr bool kTakes =
      (std::is_arithmetic_v<Given> && !std::is_same_v<Given, bool>) ||
      std::is_same_v<Given, TorchOptions> || std::is_same_v<Given, Options>;

  explicit OptimizerOf(std::vector<at::Tensor> parameters, Options options = {});
  explicit OptimizerOf(std::vector<ParamGroup<Options>> groups);

  // options: torch::optim's, or the learning rate.
  template <typename Given>
  requires kTakes<Given>
  explicit OptimizerOf(std::vector<at::Tensor> parameters, const Given& options)
      : OptimizerOf(std::move(parameters), taken(options)) {}
  // defaults, for groups without options: Options, torch::optim's, or the learning rate.
  template <typename Given = Options>
  requires kTakes<Given>
  explicit OptimizerOf(std::vector<torch::optim::OptimizerParamGroup> groups,
                       const Given& defaults = {})
      : OptimizerOf(Lists(), std::move(groups), taken(defaults)) {}

  using FusedOptimizer::add_param_group;
  void add_param_group(ParamGroup<Options> group);

  const Options& options(std::size_t group = 0) const;
  // Sets the options from the next step on. They are checked as in the constructor; the memory
  // options stay.
  void set_options(const Options& options, std::size_t group = 0);

 private:
  struct Lists {};  // three parameters, so that no braces of a user fit
  OptimizerOf(Lists, std::vector<torch::optim::OptimizerParamGroup> groups,
              const Options& defaults);
  static const Options& taken(const Options& options) { return options; }
  static Options taken(const TorchOptions& options);
  static Options taken(double lr);
};

}  // namespace amp::optim
