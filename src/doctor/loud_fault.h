// The explanation of what went wrong loudly: Inf, NaN, or something thrown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/doctor/case_file.h"
#include "src/inspect/growth.h"

namespace amp::doctor {

// Tries the step that went wrong in other precisions, and writes the diagnosis into the case's file.
// Its parts: which of them it is (loud.cpp), growth (loud_growth.cpp), low precision (loud_low.cpp).
class LoudFault {
 public:
  LoudFault(CaseFile& file, const Focus& focus)
      : file_(file),
        focus_(focus),
        evidence_(file.evidence.steps[focus.place]),
        fault_(evidence_.non_finite),
        step_(evidence_.step) {}
  void explain();
  // The step from which remedies are tried.
  std::int64_t trial_step() const { return trial_step_ < 0 ? step_ : trial_step_; }

 private:
  // The diagnosis of one step, as if it were the only one that went wrong.
  static Diagnosis by_evidence(const Evidence& evidence, std::size_t place);
  // Takes the diagnosis from a replay, if the step's ops were not recorded when it was trained.
  void take_recording(const Evidence& own);
  bool weights_were_ruined() const;
  // Whether the fp32 training of the same batches diverges, too.
  bool reference_diverges() const;
  inspect::Growth growth() const { return inspect::growth_until(file_.evidence, focus_.place); }
  std::int64_t first_step() const { return file_.experiment.steps().front(); }
  // The fault is there without low precision. The replay in fp32 tells which op it is, and fp64
  // whether fp32's range is the cause.
  void explain_in_fp32(const Evidence& fp32);
  void prefix(const std::string& words);
  bool is_finite_early(Variation variation);
  // Tries a smaller learning rate from the first state on. Returns false if fp32 does not grow:
  // then growth is not the cause.
  bool explain_growth();
  // fp32 does not grow on the same batches, so this looks at what low precision does to the
  // gradients from the first step on.
  bool explain_low_growth();
  // Whether the loss jumped at one of the last micro-batches, and that one holds a sample unlike
  // all others.
  bool began_with_a_sample();
  bool jumps(std::size_t place) const;
  static bool grows(const Outcome& outcome);
  // fp32 is fine, so the scale, the range or the rounding is the cause.
  void explain_in_low_precision();
  // "step 3: blocks.1 exp"
  std::string place() const;
  // Drops the remedy that the recording alone would advise.
  void drop_advice();
  void explain_scale();
  // The model's finite inputs became something that the op has no value for. The cause is a
  // constant that is zero in the format, or rounding.
  void explain_ruined_inputs();
  // The weights were not finite before the first step, so no step of this training made them so.
  void explain_initial_weights();
  // The Inf or NaN is in neither the batch nor a parameter, so it is in a buffer or another tensor
  // of the model's own.
  void explain_what_the_model_holds();
  // The weights are finite in fp32, and not in the model's dtype.
  void explain_low_weights();
  CaseFile& file_;
  const Focus focus_;
  const StepEvidence& evidence_;
  const std::optional<FirstNonFinite>& fault_;
  const std::int64_t step_;
  std::int64_t trial_step_ = -1;
};

}  // namespace amp::doctor
