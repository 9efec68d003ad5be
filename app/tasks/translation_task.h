// Translating lines of text.
#pragma once

#include <optional>

#include "app/data/parallel_text.h"
#include "app/settings/settings.h"
#include "app/tasks/pair_batches.h"
#include "app/tasks/task.h"

namespace ampersand {

class TranslationTask : public Task {
 public:
  // Loads the pairs that settings.data names. Throws as load_parallel_text does.
  explicit TranslationTask(const Settings& settings);
  // Of a training that `state` was kept of: with its vocabulary, whatever the data.
  TranslationTask(const Settings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return text_.train.size(); }
  std::int64_t test_samples() const override { return text_.test.size(); }
  std::string noun() const override { return "pairs"; }
  // Of the targets, with their end tokens.
  double tokens_per_sample() const override;
  nlohmann::json about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  std::unique_ptr<Model> make_model() const override;
  void check_model(Model& model) const override;
  // Perplexity of the targets' tokens, end tokens too; an end token is a byte: the line's end.
  Evaluation evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const override;
  nlohmann::json state() const override;
  nlohmann::json content() const override;
  void save_beside(const std::filesystem::path& folder) const override;
  // CSV: source,target,translated of the first 100 test pairs.
  std::string predictions(Model& model, const amp::Recipe& recipe) const override;
  // The prompt's translation, of at most how.tokens tokens, each the likeliest. Throws
  // amp::InvalidArgument for an empty prompt, and for ways of drawing.
  std::string continued(Model& model, const amp::Recipe& recipe,
                        const Continuation& how) const override;
  std::vector<std::string> showpieces(Model& model, const amp::Recipe& recipe,
                                      std::uint64_t seed) const override;

 private:
  TranslationTask(const Settings& settings, std::optional<Vocabulary> vocabulary);
  PairMarks marks() const {
    return {text_.begin_token(), text_.end_token(), text_.padding_token()};
  }
  // Of the first pairs of the test part.
  std::vector<std::string> translated(Model& model, const amp::Recipe& recipe,
                                      std::int64_t count) const;
  std::vector<std::string> decoded(const std::vector<std::vector<std::int64_t>>& texts) const;

  Settings settings_;
  ParallelText text_;
};

}  // namespace ampersand
