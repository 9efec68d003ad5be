// Doctor: what is wrong with a training, by experiments on it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/experiment.h"
#include "amp/export.h"
#include "amp/inspect.h"
#include "amp/module_holder.h"
#include "amp/recipe.h"
#include "amp/train_step.h"

namespace amp {

struct DoctorOptions {
  InspectorOptions inspector = {};    // level full sees ops; sampled and steps cost less
  ExperimentOptions experiment = {};  // how many steps can be played again
  std::int64_t replays = 60;          // of a micro-batch at most, for the cause
  std::int64_t trial_steps = 50;      // that each remedy is trained for; 0: none is tried
  std::int64_t trials = 4;            // remedies that are tried at most
  // How many steps in a row must go wrong before the fault counts as lasting. A dynamic loss scale
  // that starts at 65536 may need 16 steps to find its place.
  std::int64_t patience = 20;
};

// One experiment: what was tried and what came of it, in words.
struct TrialRecord {
  std::string what = {};     // "the same micro-batch in fp32"
  std::string outcome = {};  // "finite", "loss is NaN", "gradients of 3 parameters are not finite"
  bool cures = false;        // what was wrong was not wrong then
};

// What to do, in the order of what it costs.
struct Remedy {
  std::string advice = {};  // "keep exp in fp32"
  std::optional<Recipe> recipe =
      {};                    // that does it; nothing where the model, the data or the rate change
  double learning_rate = 1;  // times the one used
  std::string code = {};     // C++ lines that do it; empty: no line of ours does
  std::int64_t steps = 0;    // that it was tried for; 0: it was not
  bool cures = false;        // and these went well
  std::string outcome = {};  // "50 steps, loss 0.31 (fp32: 0.30)"
};

// The losses of the same training in fp32: the same weights, batches and random numbers.
struct ReferenceRun {
  std::vector<double> losses = {};  // of each micro-batch from the first that the doctor sees
  bool failed = false;              // it threw or was given up
  // The losses of the same training with weights moved by an ulp: how far fp32 is from itself.
  // Empty: not run.
  std::vector<double> again = {};
};

struct Examination {
  Diagnosis diagnosis = {};
  std::vector<TrialRecord> trials = {};
  std::vector<Remedy> remedies = {};  // those that were tried and cure come first
  std::vector<std::string> notes =
      {};                    // that replays differ, that less was kept, what else went wrong
  std::int64_t replays = 0;  // micro-batches played, trials of remedies apart
};

// Watches a training with an Inspector and keeps its last micro-batches. When asked, it finds by
// experiment what is wrong: whether it lasts, whether fp32 and fp64 have it too, whether it is the
// loss scale, which ops, which sample. It trains with the remedies that it knows before it names
// one.
//
//   amp::Doctor doctor(*model, train_step);
//   for (std::int64_t step = 1; step <= steps && !doctor.is_settled(); ++step) {
//     auto batch = next_batch();
//     doctor.step({batch.data}, [&model, target = batch.target](at::TensorList inputs) {
//       return criterion(model->forward(inputs[0]), target); });
//   }
//   std::cout << doctor.examination().diagnosis.sentence << "\n";
//
// The loss function is called again later, so it must hold its batch by value. The training's
// numbers do not change. Weights and optimizer are copied before each step
// (ExperimentOptions::states, `memory`). Verdicts: docs/doctor.md.
class AMP_API Doctor {
 public:
  // model and train_step must outlive it. Throws InvalidArgument for options out of range.
  Doctor(torch::nn::Module& model, TrainStep& train_step, DoctorOptions options = {});
  Doctor(torch::jit::Module& model, TrainStep& train_step, DoctorOptions options = {});
  template <HoldsModule Holder>
  Doctor(const Holder& model, TrainStep& train_step, DoctorOptions options = {})
      : Doctor(module_in(model, "Doctor"), train_step, std::move(options)) {}
  ~Doctor();
  Doctor(Doctor&&) noexcept;
  Doctor& operator=(Doctor&&) noexcept;

  // Runs one micro-batch of the training, train_step(inputs, loss), and watches it. inputs: samples
  // along dimension 0; the loss function holds what else it needs. An exception is recorded and
  // thrown on.
  StepReport step(at::TensorList inputs, const TrainStep::Loss& loss);
  StepReport step(const std::function<at::Tensor()>& loss);
  // The same around a step of your own. After something threw, call fail_step in the place of
  // end_step.
  void begin_step(std::int64_t step, at::TensorList inputs, TrainStep::Loss loss);
  void end_step(const StepReport& report);
  std::optional<Thrown> fail_step(const std::exception_ptr& error);

  // Tells what fp32 does on the same batches. Without it, the doctor trains in fp32 on the
  // micro-batches that it kept.
  void set_reference(ReferenceRun reference);
  bool is_settled() const;  // something went wrong that lasts: more steps tell no more
  Inspector& inspector();
  Experiment& experiment();

  // Runs the experiments once; the model must still be there. Later calls return the same
  // examination. It ends early, with what is known and a note, once ExperimentOptions::is_cancelled
  // returns true.
  const Examination& examination();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace amp
