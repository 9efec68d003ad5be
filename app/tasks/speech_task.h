// Writing down what is said in recordings.
#pragma once

#include <optional>

#include "app/data/alphabet.h"
#include "app/settings/settings.h"
#include "app/tasks/speech_batches.h"
#include "app/tasks/task.h"

namespace ampersand {

class SpeechTask : public Task {
 public:
  // Loads the recordings that settings.data names and makes their spectrograms; the alphabet is that
  // of their transcripts. The last of them are held out. Throws as find_recordings and read_wav do,
  // and amp::IoError for a recording that is too short for its transcript: CTC needs a row of output
  // for each character, and one more between two that are the same.
  explicit SpeechTask(const Settings& settings);
  // Of a training that `state` was kept of: with its alphabet. Throws amp::IoError, too, for a
  // transcript with another character, and for recordings of another sampling rate, which would be
  // heard in other bands.
  SpeechTask(const Settings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return std::ssize(train_); }
  std::int64_t test_samples() const override { return std::ssize(test_); }
  std::string noun() const override { return "recordings"; }
  nlohmann::json about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  std::unique_ptr<Model> make_model() const override;
  void check_model(Model& model) const override;
  Evaluation evaluate(Model& model, const Batches& test, const amp::Recipe& recipe) const override;
  nlohmann::json state() const override;
  nlohmann::json content() const override;
  // CSV: recording,said,heard of each test recording.
  std::string predictions(Model& model, const amp::Recipe& recipe) const override;
  std::vector<std::string> showpieces(Model& model, const amp::Recipe& recipe,
                                      std::uint64_t seed) const override;

 private:
  SpeechTask(const Settings& settings, std::optional<Alphabet> alphabet);

  Settings settings_;
  std::optional<Alphabet> alphabet_;
  std::vector<Spoken> train_, test_;
  std::vector<std::string> test_names_;
  std::vector<std::int64_t> rates_;  // of the recordings' samples; of a run, of all it has heard
  nlohmann::json content_;
};

}  // namespace ampersand
