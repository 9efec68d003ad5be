// Experiment: a micro-batch of a training, or a few steps of it, played again in another way.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/export.h"
#include "amp/inspect/thrown.h"
#include "amp/module_holder.h"
#include "amp/recipe.h"
#include "amp/train_step.h"

namespace amp {

class Inspector;

// What is different in a replay. By default nothing is.
struct Variation {
  // Float or Double: replays without autocast and loss scale, with nothing below this format from
  // the inputs on. That holds for weights (the masters of an O2 model), buffers, and what the model
  // itself casts.
  std::optional<c10::ScalarType> wide = {};
  std::vector<std::string> wide_ops = {};  // only these, "exp" and "layer_norm"; empty: all
  // With `wide`: the calls that still round their inputs to the training's low dtype, by their
  // places in Outcome::calls, in ascending order.
  std::vector<std::int64_t> narrow_calls = {};
  // Another recipe, on fp32 weights: its dtype, policy, loss scaling and clipping. With `wide`,
  // only what it casts is in low precision: products.
  std::optional<Recipe> recipe = {};
  std::optional<std::int64_t> batch =
      {};  // the micro-batch of this step in the place of the state's
  std::optional<double> loss_scale = {};   // a fixed one, in the recipe's place
  double learning_rate = 1;                // times the training's
  bool eval = false;                       // the modules in eval mode
  std::vector<std::int64_t> samples = {};  // these of the batch alone; empty: all
  // How many steps of the optimizer to play, on the micro-batches that were kept from this one on;
  // after the last it begins again with the first. 0: forward and backward pass of the one
  // micro-batch, and no step.
  std::int64_t steps = 0;
  bool same_batch = false;      // (only for steps) the one micro-batch again and again
  bool keep_gradients = false;  // fill Outcome::gradients
  bool find_constants = false;  // fill Outcome::flushed_constants
  bool find_calls = false;      // fill Outcome::calls
  // Moves each weight by at most one ulp of fp32, at random by this seed: what a training's noise
  // is.
  std::optional<std::uint64_t> perturb = {};
  Inspector* inspector = nullptr;  // records the first micro-batch
};

// An op that the loss function called; ops inside of it do not count.
struct OpCall {
  std::string op = {};         // "layer_norm"
  std::string parameter = {};  // the first among its inputs: "blocks.0.norm.weight"; empty: none
  // The dtype of its first floating-point result; Undefined: it gave none.
  c10::ScalarType dtype = c10::ScalarType::Undefined;
  bool is_low = false;  // gave floating-point numbers below fp32, which are not a view of its input
  bool is_view = false;    // gave a view of its input
  bool is_random = false;  // drew numbers
  at::Tensor sample =
      {};  // of its floating-point result, fp32: 4096 numbers at most, evenly spaced
};

// What came of it.
struct Outcome {
  // False: this step is not kept, the variation does not fit, or it was cancelled.
  bool played = false;
  std::vector<double> losses = {};  // of each micro-batch, unscaled
  bool finite_loss = true;          // of all
  bool finite_gradients = true;     // of all, scaled; true where none were needed
  bool finite_weights = true;       // after the steps
  std::int64_t skipped = 0;         // steps that the loss scaling skipped
  double final_scale = 1;
  double gradient_norm = 0;  // of the first micro-batch, unscaled, L2, of the finite numbers
  double weights_moved = 0;  // ||w after - w before|| / ||w before|| over the steps
  double weights_still =
      0;  // the share of the numbers in the weights that the steps did not change
  std::vector<std::string> non_finite =
      {};                       // parameters whose gradients were not, in the first such
  NamedTensors gradients = {};  // of the first micro-batch, unscaled, in fp64
  NamedTensors moves = {};  // with keep_gradients: what the steps added to each parameter, in fp64
  NamedTensors buffers_before = {}, buffers = {};  // floating-point ones, in fp64, around the steps
  std::vector<std::string> low_buffers = {};       // those that were below fp32
  // Constants that an op was given together with low-precision numbers, and that are zero in their
  // format.
  std::vector<std::pair<std::string, double>> flushed_constants = {};
  std::vector<OpCall> calls = {};  // of the first micro-batch, in order
  // Parameters that require a gradient and got none, in the first micro-batch.
  std::vector<std::string> without_gradient = {};
  std::optional<Thrown> thrown = {};

  // Whether it neither threw nor gave Inf or NaN. Steps that were skipped while the scale was found
  // do not count.
  bool is_finite() const {
    return played && !thrown.has_value() && finite_loss && finite_gradients && finite_weights;
  }
};

struct ExperimentOptions {
  std::int64_t states = 4;          // weights and optimizer before the last N steps; >= 1
  std::int64_t batches = 128;       // micro-batches that can be played on; >= 1
  std::int64_t memory = 2LL << 30;  // bytes of all states together; at least one is kept
  // Is called before each micro-batch of a replay; true ends the replay, and Outcome::played is
  // false.
  std::function<bool()> is_cancelled = {};
};

// Keeps the last micro-batches of a training with the weights, buffers, optimizer and random
// generator that they began with, and plays them again. The training does not notice: parameters
// and buffers keep their memory and values, and gradients, modes, random numbers and the
// optimizer's state are bit for bit what they were. What a model keeps elsewhere (a member that
// counts its calls) is not put back; then `reproduces` returns false.
//
//   amp::Experiment experiment(*model, train_step);
//   experiment.keep(step, inputs, loss);         // before train_step(inputs, loss)
//   auto fp32 = experiment.play(step, {.wide = torch::kFloat});
//
// `loss` is called again later, so it must hold its batch by value or shared. Call play between two
// steps, on the training's thread. It waits for the device.
class AMP_API Experiment {
 public:
  // model and train_step must outlive it. Throws InvalidArgument for options out of range.
  Experiment(torch::nn::Module& model, TrainStep& train_step, ExperimentOptions options = {});
  Experiment(torch::jit::Module& model, TrainStep& train_step, ExperimentOptions options = {});
  template <HoldsModule Holder>
  Experiment(const Holder& model, TrainStep& train_step, ExperimentOptions options = {})
      : Experiment(module_in(model, "Experiment"), train_step, options) {}
  ~Experiment();
  Experiment(Experiment&&) noexcept;
  Experiment& operator=(Experiment&&) noexcept;

  // Call it before the micro-batch `step`; steps count upwards. inputs: samples along dimension 0,
  // so that single ones can be played; may be empty.
  void keep(std::int64_t step, at::TensorList inputs, TrainStep::Loss loss);
  // Keeps the state before this step for good; it must be kept now. The first one is always kept.
  void pin(std::int64_t step);
  void unpin(std::int64_t step);

  std::vector<std::int64_t> steps() const;  // those whose state is kept
  // The one sample of a kept micro-batch whose largest finite number, in some floating-point input,
  // is a hundred times that of every other sample. Empty: there is none.
  std::optional<std::int64_t> outlier(std::int64_t step) const;
  std::int64_t samples(std::int64_t step) const;  // of the micro-batch; 0: not known
  std::int64_t replays() const;                   // micro-batches played up to now
  // The first buffer of a kept state that is not finite; "": none.
  std::string non_finite_buffer(std::int64_t step) const;
  bool has_finite_inputs(std::int64_t step) const;  // of a kept micro-batch; false: it is not kept
  // Of the model's parameters: how many numbers require a gradient, and how many there are.
  std::pair<std::int64_t, std::int64_t> trained_numbers() const;
  // Plays from the state before `step`.
  Outcome play(std::int64_t step, const Variation& variation = {});
  // Plays it twice as it was. Returns false if the replays differ from each other or from this
  // loss.
  bool reproduces(std::int64_t step, double loss);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace amp
