// Writing down what is said in recordings.
#pragma once

#include <optional>

#include "tasks/common/task_settings.h"
#include "tasks/speech/alphabet.h"
#include "tasks/speech/speech_batches.h"

namespace ampersand {

// What the program knows of the task before it reads data.
amp::TaskInfo speech_task_info();

class SpeechTask : public amp::Task {
 public:
  // Loads the recordings that settings.data names and makes their spectrograms; the alphabet is that
  // of their transcripts. The last of them are held out. Throws as find_recordings and read_wav do,
  // and amp::IoError for a recording that is too short for its transcript: CTC needs a row of output
  // for each character, and one more between two that are the same.
  explicit SpeechTask(const TaskSettings& settings);
  // Of a training that `state` was kept of: with its alphabet. Throws amp::IoError, too, for a
  // transcript with another character, and for recordings of another sampling rate, which would be
  // heard in other bands.
  SpeechTask(const TaskSettings& settings, const nlohmann::json& state);

  std::int64_t training_samples() const override { return std::ssize(train_); }
  std::int64_t test_samples() const override { return std::ssize(test_); }
  std::string noun() const override { return "recordings"; }
  std::string about() const override;
  std::unique_ptr<Batches> training_batches(std::int64_t batch_size,
                                            c10::ScalarType dtype) const override;
  std::unique_ptr<Batches> test_batches(c10::ScalarType dtype) const override;
  amp::TaskModel make_model(const std::string& name) const override;
  amp::Evaluation evaluate(amp::Evaluator& model, const Batches& test) const override;
  std::string state() const override;
  std::string content() const override { return content_.dump(); }
  // CSV: recording,said,heard of each test recording.
  std::string predictions(amp::Evaluator& model) const override;
  std::vector<std::string> showpieces(amp::Evaluator& model, std::uint64_t seed) const override;

 private:
  SpeechTask(const TaskSettings& settings, std::optional<Alphabet> alphabet);

  TaskSettings settings_;
  std::optional<Alphabet> alphabet_;
  std::vector<Spoken> train_, test_;
  std::vector<std::string> test_names_;
  std::vector<std::int64_t> rates_;  // of the recordings' samples; of a run, of all it has heard
  nlohmann::json content_;
};

}  // namespace ampersand
