// A training under the Inspector: what it saw, as long as the model was there and after.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amp/doctor.h"
#include "amp/inspect.h"
#include "amp/recipe.h"
#include "app/inspection/end_to_end.h"
#include "app/inspection/heat_map.h"
#include "app/training/named_precision.h"
#include "app/training/step_observer.h"

namespace ampersand {

struct WatchOptions {
  std::int64_t steps = 200;   // ends the training after so many micro-batches
  std::int64_t every = 1;     // records the ops of every N-th
  bool stop_at_fault = true;  // ends it when something went wrong and it is clear what
  // Computes each low-precision op of the recorded micro-batches again in fp32, and their gradients,
  // too; the others are not watched at all.
  bool beside_fp32 = false;
  // Finds by experiment what went wrong, at the end of the training.
  bool examines = false;
  // Of an examination: what the same training does in fp32.
  std::optional<amp::ReferenceRun> reference = {};
};

class Watch : public StepObserver {
 public:
  // Shows losses of the format that `recipe` computes in; for fp32, of fp16.
  Watch(const amp::Recipe& recipe, const WatchOptions& options);

  bool watches(std::int64_t step) const override;
  // With fp32 weights alone there is an fp32 pass to compare with.
  bool compares_gradients() const override { return options_.beside_fp32 && has_fp32_weights_; }
  void begin_training(Model& model, amp::TrainStep& step) override;
  void keep(const amp::Batch& batch, Model& model) override;
  void begin_step(std::int64_t step, double loss_scale) override;
  void expect(const std::vector<at::Tensor>& parameters,
              const std::vector<at::Tensor>& gradients) override;
  bool end_step(const amp::StepReport& report) override;
  std::optional<amp::Thrown> fail_step(const std::exception_ptr& error) override;
  void end_training() noexcept override;

  // After the training. Empty where it ended before its first step.
  const amp::Evidence& evidence() const { return evidence_; }
  const std::vector<amp::OpSummary>& ops() const { return ops_; }
  const std::vector<amp::ParameterRecord>& parameters() const { return parameters_; }
  const std::vector<amp::CastCount>& casts() const { return casts_; }
  const HeatMap& heat_map() const { return heat_map_; }
  // What fp32 makes of the same; empty unless it was computed.
  const std::vector<amp::Fp32Comparison>& fp32_comparisons() const { return fp32_comparisons_; }
  const std::optional<amp::Inspector::Departure>& first_departure() const { return departure_; }
  // The gradient of each parameter, over all recorded micro-batches.
  const std::vector<std::pair<std::string, amp::Deviation>>& gradient_deviations() const {
    return gradient_deviations_;
  }
  // Low precision beside fp32 from the model's inputs on: [{...}] of EndToEnd and a sentence. Empty unless compared.
  const nlohmann::json& end_to_end() const { return end_to_end_rows_; }
  const std::string& end_to_end_sentence() const { return end_to_end_sentence_; }
  amp::Format format() const { return format_; }
  // Whose ulps tell how far an op is from fp32.
  amp::Format compared_format() const { return compared_format_; }
  amp::Diagnosis diagnosis() const {
    return examination_.has_value() ? examination_->diagnosis : amp::diagnose(evidence_);
  }
  // Nothing where none was asked for, and where the model is no module.
  const std::optional<amp::Examination>& examination() const { return examination_; }
  const std::string& examination_failure() const {
    return examination_failure_;
  }  // why there is none
  // What ended the training, where more is known than the step told, or no step was watched: what threw
  // while the model was made, say.
  void add_failure(const amp::Thrown& thrown);

 private:
  bool is_settled() const;
  amp::Inspector& inspector() { return doctor_.has_value() ? doctor_->inspector() : *inspector_; }
  const amp::Inspector& inspector() const { return const_cast<Watch&>(*this).inspector(); }
  void take_map();
  void take_gradients();
  void examine() noexcept;

  WatchOptions options_;
  amp::Format format_, compared_format_;
  HeatMap heat_map_;
  bool dynamic_scaling_, has_fp32_weights_;
  std::optional<amp::Inspector> inspector_;
  std::optional<amp::Doctor> doctor_;  // or else this, which has one
  std::optional<EndToEnd> end_to_end_;
  std::vector<at::Tensor> inputs_;  // of the micro-batch, and its targets
  amp::TrainStep::Loss loss_;
  std::int64_t step_ = 0, seen_ = 0;
  amp::Evidence evidence_;
  std::vector<amp::OpSummary> ops_;
  std::vector<amp::ParameterRecord> parameters_;
  std::vector<amp::CastCount> casts_;
  std::vector<amp::Fp32Comparison> fp32_comparisons_;
  std::optional<amp::Inspector::Departure> departure_;
  std::vector<std::pair<std::string, amp::Deviation>> gradient_deviations_;
  nlohmann::json end_to_end_rows_ = nlohmann::json::array();
  std::string end_to_end_sentence_;
  std::optional<amp::Examination> examination_;
  std::string examination_failure_;
};

// The format whose range decides about a training: that of its low precision; fp16 for fp32.
amp::Format format_of(const amp::Recipe& recipe);

nlohmann::json number_or_null(double value);  // null for Inf and NaN, which JSON lacks

// A backward node without a forward op of its own is known by what evaluates it.
std::string shown_op(const std::string& called_as, const std::string& op);

// What a page draws: {"steps", "loss", "scale", "skipped", "heat", "histograms", "ops"}. Histograms are
// of activations and gradients by module and of weights by parameter, and of all of each kind.
nlohmann::json inspection_json(const Watch& watch);

// Puts the op that the diagnosis names before all others, with "is_cause": true.
void mark_cause(nlohmann::json& inspection, const amp::Diagnosis& diagnosis);

// The history of the watched steps as a run of results.json, which the charts draw.
nlohmann::json watched_run_json(const Precision& precision, std::uint64_t seed,
                                const nlohmann::json& inspection, bool went_wrong);

// The rules of the recipe's policy, where it was edited, that met no op of the training.
std::vector<std::string> idle_rules(const amp::Recipe& recipe, const Watch& watch);

}  // namespace ampersand
