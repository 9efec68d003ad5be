// Predicting the next token of a text.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tasks/common/task_settings.h"
#include "tasks/text/text_data.h"

namespace ampersand {

// What the program knows of the task before it reads data.
amp::TaskInfo text_task_info();

class TextTask : public amp::Task {
 public:
  // Loads the text that settings.data names. Throws as load_text and check_context do.
  explicit TextTask(const TaskSettings& settings);
  // Of a training that `state` was kept of: with its vocabulary, whatever the data.
  TextTask(const TaskSettings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override;
  std::int64_t test_samples() const override;
  std::string noun() const override;
  double tokens_per_sample() const override { return static_cast<double>(shape_.context); }
  std::string about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  amp::TaskModel make_model(const std::string& name) const override;
  std::optional<amp::ModelShape> model_shape() const override { return shape_; }
  std::vector<amp::Measure> measures() const override;
  amp::Evaluation evaluate(amp::Evaluator& model, const Batches& test) const override;
  std::string state() const override;
  std::string content() const override;
  void save_beside(const std::filesystem::path& folder) const override;
  // CSV: window,loss,perplexity of each held-out window.
  std::string predictions(amp::Evaluator& model) const override;
  std::string continued(amp::Evaluator& model, const amp::Continuation& how) const override;
  std::vector<std::string> showpieces(amp::Evaluator& model, std::uint64_t seed) const override;

 private:
  TextTask(const TaskSettings& settings, std::optional<Vocabulary> vocabulary);

  TaskSettings settings_;
  TextData data_;
  amp::ModelShape shape_;
};

}  // namespace ampersand
