// What the parts of an examination share.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "amp/doctor.h"
#include "src/doctor/focus.h"

namespace amp::doctor {

// Is thrown to end an examination with what is known by then.
struct Cancelled {};

struct CaseFile {
  // Makes an Inspector of the model, for a replay that is to be recorded.
  using MakeInspector = std::function<Inspector()>;

  Experiment& experiment;
  const Evidence& evidence;
  const Recipe recipe;
  const DoctorOptions& options;
  MakeInspector make_inspector;
  std::optional<ReferenceRun> reference = {};
  std::int64_t at = -1;  // the step whose gradients are looked at; -1: the last
  // How far gradients are from fp32's at a step, if that is the fault to cure.
  struct GradientFault {
    std::int64_t step = 0;
    double error = 0;
  };
  std::optional<GradientFault> gradient_fault = {};
  bool model_casts = false;  // a training in fp32 whose model itself computes in low precision
  bool is_script = false;    // TorchScript, which is recorded without its optimising executor
  Examination result = {};

  bool may_replay() const { return result.replays < options.replays; }

  // Plays the variation, counts it, and notes in one row what came out. cures: whether the fault is
  // gone then.
  Outcome try_out(const std::string& what, std::int64_t step, const Variation& variation,
                  const std::function<bool(const Outcome&)>& cures = is_finite);
  // The same without a row. Both throw Cancelled.
  Outcome play(std::int64_t step, const Variation& variation);

  static bool is_finite(const Outcome& outcome) { return outcome.is_finite(); }
  bool computes_in_fp32() const {
    return recipe.compute_dtype == c10::kFloat && recipe.model_dtype == c10::kFloat &&
           !recipe.emulate.has_value();
  }
  bool has_low_precision() const { return !computes_in_fp32() || model_casts; }
  bool is_scaled() const { return recipe.loss_scaling != LossScaling::none; }
};

// "loss 0.31", "loss is NaN", "gradients of a, b and 3 more are not finite", "threw: ...".
std::string words_of(const Outcome& outcome);
// The mean of the last quarter; NaN of none.
double late_mean(const std::vector<double>& losses);
// How far the late mean may lie above fp32's by chance. If fp32 was run again, it is the largest of
// three times the distance of its runs, half a percent of the first loss and two standard errors.
// Else it is the largest of 5 % of the mean, 2 % of the first loss and two standard errors.
double tolerance_of(const std::vector<double>& losses, const std::vector<double>& reference,
                    const std::vector<double>& again);

// Each function finds the diagnosis and puts the remedies that may help into the file's result.
void explain_fault(CaseFile& file, const Focus& focus);  // false alarm: verdict clean
bool explain_hidden_overflow(CaseFile& file);
void explain_silence(CaseFile& file);
// Whether low precision moves the gradients away from those of fp32, `fp32`, at the step that is
// looked at.
bool explain_precision(CaseFile& file, const Outcome& fp32);
// Finds the one sample of the step's micro-batch that causes the fault, if there is one. The
// verdict becomes bad_data if the sample is unlike all others.
void find_sample(CaseFile& file, std::int64_t step);
// Concludes bad_data: a sample of the step's micro-batch is unlike all others
// (Experiment::outlier). `more` ends the sentence.
void blame_sample(CaseFile& file, std::int64_t step, std::int64_t sample,
                  const std::string& more = "");
// Finds the fewest ops, and the module, that take the fault away when they are in fp32, and puts
// them into the remedies.
void find_ops(CaseFile& file, std::int64_t step);
// Trains with each remedy and sorts them: those that cure and cost least come first. step: the
// state to begin at.
void try_remedies(CaseFile& file, std::int64_t step);

// Remedies.
Remedy in_bf16(const Recipe& recipe);
Remedy in_low_precision_on_fp32_weights(const Recipe& recipe);
Remedy in_fp32(const Recipe& recipe);
Remedy with_ops_in_fp32(const Recipe& recipe, const std::vector<std::string>& ops);
Remedy with_module_in_fp32(const Recipe& recipe, const std::string& module);
Remedy with_dynamic_scale(const Recipe& recipe);
Remedy with_initial_scale(const Recipe& recipe, double scale);
Remedy with_scale(const Recipe& recipe, double scale);
Remedy with_learning_rate(double factor);
// The factor for the learning rate: the largest of 0.1, 0.01 and so on with which the loss does not
// grow from the step on; 0.1 if there is none.
double calm_rate(CaseFile& file, std::int64_t step);
Remedy with_clipping(const Recipe& recipe, double norm);

}  // namespace amp::doctor
