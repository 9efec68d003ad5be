// Writing down what is said in recordings.
#include "tasks/speech/speech_task.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <map>
#include <span>
#include <sstream>
#include <system_error>
#include <utility>

#include "amp/error.h"
#include "app/files/utf8.h"
#include "src/files/hash.h"
#include "tasks/common/csv.h"
#include "tasks/common/held_out.h"
#include "tasks/common/sequence_defaults.h"
#include "tasks/common/stored_task.h"
#include "tasks/speech/recordings.h"
#include "tasks/speech/spectrogram.h"
#include "tasks/speech/speech.h"
#include "tasks/speech/transcription.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kRecordingsAtATest = 32;
constexpr std::int64_t kHighestBand = 7600;  // Hz, of spectrogram()

Alphabet alphabet_of(const std::vector<Recording>& recordings) {
  std::vector<std::string> texts;
  for (const auto& recording : recordings) texts.push_back(recording.text);
  return Alphabet::of(texts);
}

// Rows that CTC needs: one a label, and a blank between two that are the same.
std::int64_t rows_needed(const std::vector<std::int32_t>& labels) {
  auto rows = std::ssize(labels);
  for (std::size_t i = 1; i < labels.size(); ++i) rows += labels[i] == labels[i - 1] ? 1 : 0;
  return rows;
}

using Rates = std::map<std::int64_t, std::int64_t>;  // samples a second: recordings

// What was heard of some recordings besides.
struct Notes {
  Rates rates;
  std::vector<std::string> hashes;  // of each sound
};

// Half of XXH3-128 is enough to tell a sound from what it was.
std::string hash_of(const Sound& sound) {
  amp::files::Hash hash;
  hash.add(&sound.rate, sizeof sound.rate);
  hash.add(sound.samples.data(), sound.samples.size() * sizeof(float));
  return hash.hex().substr(0, 16);
}

std::string hash_of_transcripts(std::span<const Recording> recordings) {
  amp::files::Hash hash;
  for (const auto& recording : recordings) {
    for (const auto& text : {recording.sound.filename().string(), recording.text})
      hash.add(text.c_str(), text.size() + 1);
  }
  return hash.hex();
}

// Spectrograms have the same bands whatever the rate, but those above half of it are empty, which a
// model would take for a difference in what is said.
void check_rates(const Rates& rates, const std::string& data) {
  if (rates.size() < 2) return;
  std::string counts;
  for (const auto& [rate, count] : rates)
    counts += (counts.empty() ? "" : ", ") + std::to_string(count) + " of " + std::to_string(rate) +
              " Hz";
  if (rates.begin()->first < 2 * kHighestBand)
    throw amp::IoError(data, "must have one sampling rate, or rates of " +
                                 std::to_string(2 * kHighestBand) + " Hz or more, got " + counts +
                                 "; resample the recordings, such as with sox -r or ffmpeg -ar");
  std::fprintf(stderr,
               "ampersand: %s: recordings of several sampling rates (%s), each heard at its own in "
               "the same bands up to %ld Hz\n",
               readable_line(data).c_str(), counts.c_str(), static_cast<long>(kHighestBand));
}

std::string in_hertz(const std::vector<std::int64_t>& rates) {
  std::string list;
  for (const auto rate : rates) list += (list.empty() ? "" : ", ") + std::to_string(rate);
  return list + " Hz";
}

// The rates of a run and of what its model is to hear, together.
std::vector<std::int64_t> joined_rates(const json& state, const std::vector<std::int64_t>& rates,
                                       const std::string& data) {
  const auto before = state.value("rates", std::vector<std::int64_t>());
  std::vector<std::int64_t> all;
  std::ranges::set_union(before, rates, std::back_inserter(all));
  if (before.empty() || all.size() < 2 || all == before || all.front() >= 2 * kHighestBand)
    return all;
  throw amp::IoError(data, "has recordings of " + in_hertz(rates) +
                               ", and the model was trained on recordings of " + in_hertz(before) +
                               "; resample them, such as with sox -r " +
                               std::to_string(before.front()));
}

Spoken heard(const Recording& recording, const Alphabet& alphabet, Notes& notes) {
  Spoken spoken{.frames = {}, .labels = alphabet.encode(recording.text, recording.transcript)};
  const auto sound = read_wav(recording.sound);
  ++notes.rates[sound.rate];
  notes.hashes.push_back(hash_of(sound));
  spoken.frames = spectrogram(sound);
  const auto rows = Speech::output_length(spoken.frames.size(0)),
             needed = rows_needed(spoken.labels);
  if (rows >= needed) return spoken;
  std::ostringstream seconds;
  seconds << static_cast<double>(spoken.frames.size(0)) * kFrameSeconds;
  throw amp::IoError(recording.sound, "is too short for its transcript: " + seconds.str() +
                                          " s are " + std::to_string(rows) +
                                          " rows of output, and CTC needs " +
                                          std::to_string(needed) + " for '" + recording.text +
                                          "'; correct the transcript or leave the recording out");
}

std::span<const Recording> first(std::span<const Recording> recordings, std::int64_t limit) {
  if (limit <= 0) return recordings;
  return recordings.first(std::min(recordings.size(), static_cast<std::size_t>(limit)));
}

std::vector<Spoken> all_heard(std::span<const Recording> recordings, const Alphabet& alphabet,
                              Notes& notes) {
  std::vector<Spoken> set;
  for (const auto& recording : recordings) set.push_back(heard(recording, alphabet, notes));
  return set;
}

std::int64_t frames_of(const std::vector<Spoken>& set) {
  std::int64_t frames = 0;
  for (const auto& spoken : set) frames += spoken.frames.size(0);
  return frames;
}

// A folder without recordings is for its own reader to explain.
amp::Likeness likeness_to_speech(const std::string& data) {
  std::error_code error;
  if (names_recordings(data)) return amp::Likeness::certain;
  return std::filesystem::is_directory(data, error) ? amp::Likeness::possible : amp::Likeness::none;
}

// The alphabet's characters.
std::optional<amp::TokenMeaning> alphabet_meaning(const std::string& state) {
  const auto alphabet = json::parse(state).at("alphabet");
  amp::files::Hash hash;
  for (const auto& character : alphabet) {
    const auto& text = character.get_ref<const std::string&>();
    hash.add(text.c_str(), text.size() + 1);
  }
  return amp::TokenMeaning{.kind = "alphabet",
                           .name = std::to_string(alphabet.size()) + " characters",
                           .fingerprint = hash.hex(),
                           .remedy = [](const std::string&) {
                             return std::string("train on transcripts of the same characters");
                           }};
}

}  // namespace

amp::TaskInfo speech_task_info() {
  amp::TaskInfo info;
  info.name = "speech";
  info.models = {"speech"};
  info.data = {"spoken-digits"};
  info.samples = "recordings";
  info.data_words = "spoken-digits or a folder of NAME.wav with NAME.txt";
  info.takes_other_models = false;
  info.likeness = likeness_to_speech;
  info.defaults = [](const std::string&) {
    return sequence_defaults({.learning_rate = 2e-3, .epochs = 20});
  };
  info.token_meaning = alphabet_meaning;
  info.make = made_or_stored<SpeechTask>;
  return info;
}

SpeechTask::SpeechTask(const TaskSettings& settings, std::optional<Alphabet> alphabet)
    : settings_(settings), alphabet_(std::move(alphabet)) {
  check_split("SpeechTask", settings.held_out, {settings.train_samples, settings.test_samples});
  const auto recordings = find_recordings(settings.data);
  if (!alphabet_) alphabet_ = alphabet_of(recordings);
  const auto training = train_share(recordings.size(), settings.held_out);
  if (training == 0 || training == recordings.size())
    throw amp::IoError(settings.data, "must have recordings for training and for testing, got " +
                                          std::to_string(recordings.size()) +
                                          " in all; give more, or another --held-out");
  const auto all = std::span(recordings);
  const auto test = first(all.subspan(training), settings.test_samples);
  Notes train_notes, test_notes;
  train_ = all_heard(first(all.first(training), settings.train_samples), *alphabet_, train_notes);
  test_ = all_heard(test, *alphabet_, test_notes);
  auto rates = train_notes.rates;
  for (const auto& [rate, count] : test_notes.rates) rates[rate] += count;
  check_rates(rates, settings.data);
  for (const auto& [rate, count] : rates) rates_.push_back(rate);
  content_ = {{"training transcripts", hash_of_transcripts(all.first(training))},
              {"training recordings", train_notes.hashes},
              {"test transcripts", hash_of_transcripts(all.subspan(training))},
              {"test recordings", test_notes.hashes}};
  for (const auto& recording : test)
    test_names_.push_back(escaped_name(recording.sound.filename().string()));
}

SpeechTask::SpeechTask(const TaskSettings& settings)
    : SpeechTask(settings, std::optional<Alphabet>{}) {}

SpeechTask::SpeechTask(const TaskSettings& settings, const json& state)
    : SpeechTask(settings,
                 std::optional(Alphabet(state.at("alphabet").get<std::vector<std::string>>()))) {
  rates_ = joined_rates(state, rates_, settings.data);
}

std::string SpeechTask::about() const {
  return json{{"alphabet", alphabet_->characters()},
              {"train_frames", frames_of(train_)},
              {"test_frames", frames_of(test_)}}
      .dump();
}

std::unique_ptr<Batches> SpeechTask::training_batches(std::int64_t batch_size,
                                                      c10::ScalarType dtype) const {
  return std::make_unique<SpeechBatches>(train_, batch_size, dtype);
}

std::unique_ptr<Batches> SpeechTask::test_batches(c10::ScalarType dtype) const {
  return std::make_unique<SpeechBatches>(test_, kRecordingsAtATest, dtype);
}

amp::TaskModel SpeechTask::make_model(const std::string&) const {
  return make_speech({.bands = kBands, .labels = alphabet_->labels()}, settings_.sizes);
}

amp::Evaluation SpeechTask::evaluate(amp::Evaluator& model, const Batches& test) const {
  return evaluate_speech(model, test);
}

std::string SpeechTask::state() const {
  return json{{"alphabet", alphabet_->characters()}, {"rates", rates_}}.dump();
}

std::string SpeechTask::predictions(amp::Evaluator& model) const {
  std::string lines = "recording,said,heard\n";
  auto name = test_names_.begin();
  transcribe(model, *test_batches(model.recipe().compute_dtype),
             [&](const auto& heard, const auto& said) {
               lines += csv_field(*name++) + ',' + csv_field(alphabet_->decode(said)) + ',' +
                        csv_field(alphabet_->decode(heard)) + '\n';
             });
  return lines;
}

std::vector<std::string> SpeechTask::showpieces(amp::Evaluator& model, std::uint64_t) const {
  const std::vector<Spoken> few(
      test_.begin(), test_.begin() + std::ssize(std::span(test_).first(
                                         std::min<std::size_t>(amp::kShowpieces, test_.size()))));
  std::vector<std::string> lines;
  transcribe(
      model, SpeechBatches(few, std::ssize(few), model.recipe().compute_dtype),
      [&](const auto& heard, const auto& said) {
        lines.push_back("said " + alphabet_->decode(said) + ", heard " + alphabet_->decode(heard));
      });
  return lines;
}

}  // namespace ampersand
