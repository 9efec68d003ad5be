// Translating lines of text.
#pragma once

#include <optional>

#include "tasks/common/task_settings.h"
#include "tasks/translation/pair_batches.h"
#include "tasks/translation/parallel_text.h"

namespace ampersand {

// What the program knows of the task before it reads data.
amp::TaskInfo translation_task_info();

class TranslationTask : public amp::Task {
 public:
  // Loads the pairs that settings.data names. Throws as load_parallel_text does.
  explicit TranslationTask(const TaskSettings& settings);
  // Of a training that `state` was kept of: with its vocabulary, whatever the data.
  TranslationTask(const TaskSettings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return text_.train.size(); }
  std::int64_t test_samples() const override { return text_.test.size(); }
  std::string noun() const override { return "pairs"; }
  // Of the targets, with their end tokens.
  double tokens_per_sample() const override;
  std::string about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  amp::TaskModel make_model(const std::string& name) const override;
  std::vector<amp::Measure> measures() const override;
  // Perplexity of the targets' tokens, end tokens too; an end token is a byte: the line's end.
  amp::Evaluation evaluate(amp::Evaluator& model, const Batches& test) const override;
  std::string state() const override;
  std::string content() const override;
  void save_beside(const std::filesystem::path& folder) const override;
  // CSV: source,target,translated of the first 100 test pairs.
  std::string predictions(amp::Evaluator& model) const override;
  // The prompt's translation, of at most how.tokens tokens, each the likeliest. Throws
  // amp::InvalidArgument for an empty prompt, and for ways of drawing.
  std::string continued(amp::Evaluator& model, const amp::Continuation& how) const override;
  std::vector<std::string> showpieces(amp::Evaluator& model, std::uint64_t seed) const override;

 private:
  TranslationTask(const TaskSettings& settings, std::optional<Vocabulary> vocabulary);
  PairMarks marks() const {
    return {text_.begin_token(), text_.end_token(), text_.padding_token()};
  }
  // Of the first pairs of the test part.
  std::vector<std::string> translated(amp::Evaluator& model, std::int64_t count) const;
  std::vector<std::string> decoded(const std::vector<std::vector<std::int64_t>>& texts) const;

  TaskSettings settings_;
  ParallelText text_;
};

}  // namespace ampersand
