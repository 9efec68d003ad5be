// What the parts of a silent training's examination share.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/doctor/case_file.h"
#include "src/doctor/gradient_error.h"
#include "src/inspect/words.h"

namespace amp::doctor {

inline std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, share < 0.1 ? "%.1f %%" : "%.0f %%", 100 * share);
  return text;
}

class SilentTraining {
 public:
  explicit SilentTraining(CaseFile& file) : file_(file), steps_(file.experiment.steps()) {
    for (const auto& step : file.evidence.steps) {
      if (!step.loss.has_value()) continue;
      losses_.push_back(*step.loss);
      if (!step.skipped) taken_.push_back(*step.loss);
    }
  }

  bool is_known() const { return !steps_.empty() && !losses_.empty(); }

 protected:
  std::int64_t first() const { return steps_.front(); }
  // The step that is looked at.
  std::int64_t last() const { return file_.at >= 0 ? file_.at : steps_.back(); }
  Diagnosis& diagnosis() { return file_.result.diagnosis; }
  std::int64_t count_from_first() const {
    return static_cast<std::int64_t>(file_.evidence.steps.size());
  }
  static std::string module_of(const std::string& tensor) {
    const auto dot = tensor.rfind('.');
    return dot == std::string::npos ? std::string() : tensor.substr(0, dot);
  }

  void conclude(Verdict verdict, std::int64_t step, std::optional<bool> fp32_too,
                const std::string& sentence) {
    auto& d = diagnosis();
    d.verdict = verdict;
    d.step = step;
    d.fp32_too = fp32_too;
    d.sentence = sentence;
    d.amax = std::nan("");
    d.loss_scale = file_.evidence.steps.back().loss_scale;
  }

  // The same state played as it was and in fp32: one micro-batch, or some steps on that one.
  struct Beside {
    Outcome own, fp32;
    bool is_finite() const { return own.is_finite() && fp32.is_finite(); }
    double gradients_apart() const {
      return gradient_error(own.gradients, fp32.gradients).relative;
    }
  };
  Beside beside_fp32(std::int64_t step, std::int64_t steps = 0) {
    const auto before = file_.result.replays;
    Variation variation{.steps = steps, .same_batch = true, .keep_gradients = true};
    auto own = file_.play(step, variation);
    variation.wide = c10::kFloat;
    auto fp32 = file_.play(step, variation);
    file_.result.replays = before + 2;
    return {std::move(own), std::move(fp32)};
  }

  // The error of gradients from which on a healthy model's products cannot explain it.
  double suspicious() const { return file_.recipe.compute_dtype == c10::kHalf ? 0.02 : 0.08; }

  CaseFile& file_;
  const std::vector<std::int64_t> steps_;
  std::vector<double> losses_;
  std::vector<double> taken_;  // of steps that were not skipped
};

// fp32: the last micro-batch's gradients in fp32. Each returns whether it found something.
// is_grave: the error counts even if products in low precision alone cause it. worse: the loss is
// worse than fp32's by more than chance.
bool explain_rounding(CaseFile& file, const Outcome& fp32, const GradientError& error,
                      bool is_grave, bool worse);
bool explain_standstill(CaseFile& file, const Outcome& fp32);
// Whether the loss is further above fp32's than fp32 is from itself when its weights are moved by an ulp.
bool is_worse_than_fp32(CaseFile& file);

}  // namespace amp::doctor
