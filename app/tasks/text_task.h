// Predicting the next token of a text.
#pragma once

#include "app/data/text_data.h"
#include "app/settings/settings.h"
#include "app/tasks/task.h"

namespace ampersand {

class TextTask : public Task {
 public:
  // Loads the text that settings.data names. Throws as load_text and check_context do.
  explicit TextTask(const Settings& settings);
  // Of a training that `state` was kept of: with its vocabulary, whatever the data.
  TextTask(const Settings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override;
  std::int64_t test_samples() const override;
  std::string noun() const override;
  double tokens_per_sample() const override { return static_cast<double>(shape_.context); }
  nlohmann::json about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  std::unique_ptr<Model> make_model() const override;
  void check_model(Model& model) const override;
  Evaluation evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const override;
  nlohmann::json state() const override;
  nlohmann::json content() const override;
  void save_beside(const std::filesystem::path& folder) const override;
  // CSV: window,loss,perplexity of each held-out window.
  std::string predictions(Model& model, const amp::Recipe& recipe) const override;
  std::string continued(Model& model, const amp::Recipe& recipe,
                        const Continuation& how) const override;
  std::vector<std::string> showpieces(Model& model, const amp::Recipe& recipe,
                                      std::uint64_t seed) const override;

 private:
  TextTask(const Settings& settings, std::optional<Vocabulary> vocabulary);

  Settings settings_;
  TextData data_;
  amp::ModelShape shape_;
};

}  // namespace ampersand
