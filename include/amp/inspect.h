// Inspector: which op or parameter overflows, underflows or goes non-finite first, and where.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/cast_log.h"
#include "amp/export.h"
#include "amp/inspect/diagnosis.h"
#include "amp/inspect/records.h"
#include "amp/inspect/replay.h"
#include "amp/inspect/thrown.h"
#include "amp/module_holder.h"
#include "amp/module_scope.h"
#include "amp/precision.h"
#include "amp/train_step.h"

namespace amp {

enum class InspectLevel : std::uint8_t {
  off,      // nothing; costs nothing
  steps,    // of a skipped step: the parameters whose gradients were not finite
  sampled,  // every N-th step as `full`, the others as `steps`
  full,     // every op of every step
};

struct InspectorOptions {
  InspectLevel level = InspectLevel::full;
  std::int64_t every = 100;  // >= 1; of `sampled`: the steps whose number it divides
  bool histograms = true;    // exponents and format rates; off: amax and counts alone
  std::vector<Format> formats = {Format::fp16, Format::bf16, Format::e4m3, Format::e5m2};
  // A low-precision op of the backward pass is computed again in fp32 where much of its output is
  // zero or subnormal, to tell what was flushed from what is zero. Each op of a module is looked at
  // once in so many recorded steps; 0: never.
  std::int64_t flush_every = 10;
  // The format that the training computes in, for a comparison with fp32. Then each op that works
  // in low precision is computed again in fp32 on the same inputs, as the model gave them, and the
  // two results are compared in ulps of this format: fp32_comparisons(). Empty: there is no comparison.
  std::optional<Format> fp32_comparison = {};
  std::int64_t history = 10'000;  // >= 1: steps whose evidence is kept, the last ones
  // Deprecated: the earlier name of fp32_comparison, which counts where that is empty. (An attribute would
  // make compilers warn of every copy of these options.)
  std::optional<Format> shadow = {};
};

// Watches a training step by step, and changes none of its values.
//
//   amp::Inspector inspector(*model);
//   for (std::int64_t step = 0; step < steps; ++step) {
//     inspector.begin_step(step, train_step.scaler().get_scale());
//     inspector.end_step(train_step([&] { return loss_of(next_batch()); }));
//     if (inspector.first_non_finite()) break;
//   }
//   std::cout << inspector.diagnosis().sentence << "\n";
//
// In a recorded step it sees, through at::RecordFunction, each op that computes, with its inputs
// and outputs, in the forward and in the backward pass. A backward op has the name and the module
// of the forward op whose derivative it is. One step may hold several micro-batches. In other steps
// no callback is installed. Ops of the optimizer are not recorded.
//
// An op belongs to the module of the parameter among its inputs (also through views and casts), or
// to that of the innermost ModuleScope. Otherwise it belongs to the parent of the module before it,
// or to that parent's next child without parameters whose type has the op's name (ReLU for relu).
//
// Call begin_step and end_step on the thread that the forward pass runs on. The Inspector also sees
// the threads of the backward pass, and those that take over its at::ThreadLocalState. Several
// Inspectors may record at once, at most 16 in the process. Sparse (COO) gradients are recorded by
// their values. Other layouts, quantized, complex and integer tensors, nested ones, wrappers and
// tensors without memory are passed over. An exception in a step, in an op or around it, leaves the
// Inspector whole: call fail_step. In a recorded step TorchScript runs without its optimising
// executor, and the step waits for the device.
class AMP_API Inspector {
 public:
  // The model and what is inside must outlive the Inspector. Throws InvalidArgument for options
  // outside of their ranges. A model without parameters is allowed.
  explicit Inspector(const torch::nn::Module& model, InspectorOptions options = {});
  explicit Inspector(const torch::jit::Module& model, InspectorOptions options = {});
  // For a holder of torch::nn, or a shared_ptr. Throws InvalidArgument for an empty one, too.
  template <HoldsModule Holder>
  explicit Inspector(const Holder& model, InspectorOptions options = {})
      : Inspector(module_in(model, "Inspector"), std::move(options)) {}
  // For a plain function. A parameter's module is its name up to the last dot.
  explicit Inspector(NamedTensors parameters, InspectorOptions options = {});
  ~Inspector();
  Inspector(Inspector&&) noexcept;
  Inspector& operator=(Inspector&&) noexcept;

  // Adds names for parameters, by identity or memory. An O2 recipe needs it: give
  // TrainStep::weights(), because its masters stand in the optimizer in the parameters' places.
  void add_names(const NamedTensors& tensors);

  // Begins a step. loss_scale: what the loss will be multiplied by. If something threw and the step
  // before was not ended, that step is ended first, as failed.
  void begin_step(std::int64_t step, double loss_scale = 1);
  // Tells what fp32 gives as the gradient of each of these parameters in the next backward pass,
  // without loss scale; undefined for none. It is compared with what the pass gives:
  // ParameterRecord::deviation. Call it between begin_step and the backward pass of a recorded
  // step; elsewhere it throws StateError. Throws InvalidArgument for lists of different lengths,
  // for a parameter that is not the model's, and for a gradient of another shape.
  void expect(const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& gradients);
  // Ends the step; throws StateError without begin_step. After a skip, the step's result says which
  // parameters had gradients that were not finite. With a bare flag the Inspector looks at the
  // gradients, if they are still there.
  void end_step(bool skipped = false);
  void end_step(const StepResult& result);
  void end_step(const StepReport& report);
  // Ends a step in which something threw. Give the message or, better, std::current_exception():
  // then evidence().steps.back().thrown says which op it was and in which module, and the diagnosis
  // says why. In a step that was not recorded there is only the message.
  void fail_step(const std::string& what);
  void fail_step(const std::exception_ptr& error);

  bool recording() const;                    // between begin_step and end_step of a recorded step
  const std::vector<OpRecord>& ops() const;  // of the last recorded step, in the order of calls
  std::vector<OpSummary> summary() const;    // of all recorded steps, in the order of first calls
  const std::vector<ParameterRecord>& parameters() const;
  // The comparison with fp32: of the last recorded step in the order of calls, and of all recorded
  // steps. An op that draws random numbers (dropout) and one without a kernel for fp32 are left
  // out.
  const std::vector<Fp32Comparison>& fp32_comparisons() const;
  std::vector<Fp32Comparison> fp32_comparison_summary() const;
  // Their earlier names.
  [[deprecated("use fp32_comparisons()")]] const std::vector<Fp32Comparison>& shadows() const {
    return fp32_comparisons();
  }
  [[deprecated("use fp32_comparison_summary()")]] std::vector<Fp32Comparison> shadow_summary()
      const {
    return fp32_comparison_summary();
  }
  // The first op of the first step that departs from fp32 more than rounding its result does.
  struct Departure {
    std::int64_t step = 0;
    Fp32Comparison op;
  };
  const std::optional<Departure>& first_departure() const;
  std::vector<CastCount> casts() const;  // made by autocast in all recorded steps
  // The first one of all steps. Rare fp16 overflows, which a dynamic scale is there for, count too.
  std::optional<FirstNonFinite> first_non_finite() const;

  const Evidence& evidence() const;
  void set_dynamic_scaling(bool dynamic);  // whether the loss scale follows overflows; default true
  Diagnosis diagnosis() const;             // diagnose(evidence())
  // {"diagnosis", "steps": [...], "ops": [...], "parameters": [...], "casts": [...], "shadows": [...]}:
  // summary() and fp32_comparison_summary(), with histograms as {"lowest": exponent, "counts": [...]}.
  std::string to_json() const;
  void clear();  // forgets everything that was recorded

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace amp
