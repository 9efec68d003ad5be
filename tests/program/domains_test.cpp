// Translation and speech as their users meet them: a training of each, and data that are refused.
#include <algorithm>

#include "tests/program/program.h"
#include "tests/tasks/speech/wav_files.h"
#include "tests/tasks/text/text_samples.h"

namespace ampersand::tests::domains_test {
namespace {

class Domains : public ProgramTest {
 protected:
  void write(const std::string& name, const std::string& text) const {
    folder_.write(name, bytes_of(text));
  }
  void write_pairs() const {
    std::string lines;
    for (int i = 0; i < 40; ++i) lines += std::to_string(i) + "\t<" + std::to_string(i) + ">\n";
    write("pairs.tsv", lines);
  }
  void write_recordings(const std::string& folder = "sounds") const {
    std::filesystem::create_directories(path(folder));
    for (int i = 0; i < 10; ++i) {
      const auto name = folder + "/" + std::to_string(i);
      write(name + ".wav", tone(0.5 + 0.05 * i, i));
      write(name + ".txt", i % 2 == 0 ? "ab" : "b a");
    }
  }
  // A training of a few steps of a tiny model.
  Outcome train(const std::string& model, const std::string& data,
                const Arguments& more = {}) const {
    return run(joined(
        {"train", "--model", model, "--data", data, "--layers", "1", "--width", "8", "--batch-size",
         "4", "--steps", "3", "--threads", "1", "--output", "run", "--cpu-fp32-engine", "stock"},
        more));
  }
  void expect_refused(const Outcome& outcome, int status, const std::string& begin,
                      const std::string& part = "") const {
    expect_refusal_like(outcome, status, begin, part);
    EXPECT_FALSE(std::filesystem::exists(path("run")));
  }
};

TEST_F(Domains, TranslationIsTrainedTestedAndTranslates) {
  write_pairs();
  const auto outcome = train("seq2seq", "pairs.tsv", {"--heads", "2", "--precision", "bf16"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto results = json_of(path("run/results.json"));
  EXPECT_EQ(results["settings"]["train_samples"], 36);
  EXPECT_EQ(results["settings"]["test_samples"], 4);
  // "<0>" to "<9>" are 4 tokens with their end, "<10>" to "<35>" 5.
  EXPECT_NEAR(results["settings"]["tokens_per_sample"].get<double>(), (10 * 4 + 26 * 5) / 36.0,
              1e-9);
  const auto& trained = results["runs"][0];
  EXPECT_TRUE(trained["perplexity"].is_number());
  EXPECT_TRUE(trained["bits_per_byte"].is_number());
  EXPECT_EQ(events_of(path("run/metrics.jsonl"), "sample").size(), 3u);
  const auto evaluated = Json::parse(run({"eval", "run", "--json", "--threads", "1"}).out);
  EXPECT_EQ(evaluated["perplexity"], trained["perplexity"]);
  const auto predicted = run({"predict", "run", "--threads", "1"}).out;
  EXPECT_TRUE(predicted.starts_with("source,target,translated\n\"36\",\"<36>\",\"")) << predicted;
  EXPECT_EQ(run({"predict", "run", "--prompt", "7", "--tokens", "5"}).status, 0);
  expect_refusal(run({"predict", "run", "--prompt", ""}), 2,
                 "--prompt is empty, and there is nothing to translate; give a text");
  expect_refusal(run({"predict", "run", "--prompt", "7", "--temperature", "0.5"}), 2,
                 "--temperature and --top-k say how tokens are drawn, and a translation takes the "
                 "likeliest; leave them out");
}

TEST_F(Domains, SpeechIsTrainedAndTested) {
  write_recordings();
  const auto outcome = train("speech", "sounds", {"--precision", "fp16", "--held-out", "0.3"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto results = json_of(path("run/results.json"));
  EXPECT_EQ(results["settings"]["train_samples"], 7);
  EXPECT_EQ(results["settings"]["test_samples"], 3);
  EXPECT_EQ(results["settings"]["alphabet"], (Json{" ", "a", "b"}));
  const auto& trained = results["runs"][0];
  EXPECT_TRUE(trained["test_accuracy"].is_number());
  EXPECT_FALSE(trained.contains("perplexity"));
  EXPECT_EQ(events_of(path("run/metrics.jsonl"), "sample").size(), 3u);
  const auto evaluated = Json::parse(run({"eval", "run", "--json", "--threads", "1"}).out);
  EXPECT_EQ(evaluated["test_loss"], trained["test_loss"]);
  const auto predicted = run({"predict", "run", "--threads", "1"}).out;
  EXPECT_TRUE(predicted.starts_with("recording,said,heard\n\"7.wav\",\"b a\",\"")) << predicted;
  EXPECT_EQ(std::ranges::count(predicted, '\n'), 4);
  expect_refusal_like(run({"predict", "run", "--prompt", "a"}), 2,
                      "--prompt is for models of text");

  // Other recordings: with a character that the model does not write.
  write_recordings("others");
  write("others/3.txt", "abc");
  expect_refusal(run({"eval", "run", "--data", "others", "--threads", "1"}), 3,
                 "others/3.txt: the transcript has the character 'c', which is not of the model's "
                 "alphabet, ' ab'; write it with these");
}

TEST_F(Domains, RecordingsOfSeveralRatesAreCounted) {
  write_recordings();
  auto other = tone(0.6);
  other.replace(24, 4, little_endian(16000, 4));
  write("sounds/4.wav", other);
  expect_refused(train("speech", "sounds"), 3,
                 "sounds: must have one sampling rate, or rates of 15200 Hz or more, got 9 of 8000 "
                 "Hz, 1 of 16000 Hz; resample");
  for (int i = 0; i < 10; ++i) {
    auto sound = tone(2, i);
    sound.replace(24, 4, little_endian(i < 3 ? 22050 : 16000, 4));
    write("sounds/" + std::to_string(i) + ".WAV", sound);
    std::filesystem::remove(path("sounds/" + std::to_string(i) + ".wav"));
  }
  const auto outcome = train("speech", "sounds");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "several sampling rates (7 of 16000 Hz, 3 of 22050 Hz)"));
}

// Below 15,200 Hz the bands reach as far as half of the rate.
TEST_F(Domains, AModelHearsItsOwnSamplingRate) {
  write_recordings();
  ASSERT_EQ(train("speech", "sounds").status, 0);
  write_recordings("others");
  EXPECT_EQ(run({"eval", "run", "--data", "others", "--threads", "1"}).status, 0);
  for (int i = 0; i < 10; ++i) {
    auto sound = tone(2, i);
    sound.replace(24, 4, little_endian(16000, 4));
    write("others/" + std::to_string(i) + ".wav", sound);
  }
  expect_refusal(run({"eval", "run", "--data", "others", "--threads", "1"}), 3,
                 "others: has recordings of 16000 Hz, and the model was trained on recordings of "
                 "8000 Hz; resample them, such as with sox -r 8000");
}

TEST_F(Domains, ParallelFilesMustHaveAsManyLines) {
  write("x.src", "one\ntwo\nthree\n");
  write("x.tgt", "eins\nzwei\n");
  expect_refused(train("seq2seq", "x.src"), 3,
                 "x.src: has 3 lines, but x.tgt has 2; give two files whose lines are pairs");
  expect_refused(train("seq2seq", "nowhere.tsv"), 3, "nowhere.tsv: ");
}

TEST_F(Domains, RecordingsMustBeWhole) {
  write_recordings();
  write("sounds/4.wav", "ID3 no WAV file at all");
  expect_refused(train("speech", "sounds"), 3, "sounds/4.wav: is no WAV file");
  write("sounds/4.wav", tone(0.5).substr(0, 1000));
  expect_refused(train("speech", "sounds"), 3, "sounds/4.wav: is cut short");
  write("sounds/4.wav", tone(0.5));
  std::filesystem::remove(path("sounds/5.txt"));
  expect_refused(train("speech", "sounds"), 3, "sounds/5.txt: no such transcript of 5.wav");
  // 0.5 s are 51 frames, so 13 rows.
  write("sounds/5.txt", "aaaaaaa");
  write("sounds/4.txt", "aaaaaaaa");
  expect_refused(train("speech", "sounds"), 3, "sounds/4.wav: is too short for its transcript: ",
                 "are 13 rows of output, and CTC needs 15 for 'aaaaaaaa'");
  write("sounds/4.txt", "aaaaaaa");
  EXPECT_EQ(train("speech", "sounds").status, 0);
}

TEST_F(Domains, ModelAndDataMustMatch) {
  write_recordings();
  write_pairs();
  expect_refused(train("seq2seq", "kjv"), 2,
                 "--model seq2seq learns from pairs of texts, and --data kjv has text; give --data "
                 "numbers, NAME.src beside NAME.tgt, or FILE.tsv, or --model gpt or lstm");
  expect_refused(train("speech", "numbers"), 2,
                 "--model speech learns from recordings, and --data numbers has pairs of texts");
  expect_refused(train("speech", "pairs.tsv"), 2, "--model speech learns from recordings, and ");
  expect_refused(train("gpt", "sounds"), 2,
                 "--model gpt learns from text, and --data sounds has recordings; give --data kjv, "
                 "a text file or a folder of them, or --model speech");
  expect_refused(run({"train", "--model", "cnn", "--data", "spoken-digits", "--output", "run"}), 2,
                 "--model cnn learns from images, and --data spoken-digits has recordings");
  expect_refused(train("seq2seq", "pairs.tsv", {"--projection", "4"}), 2,
                 "--projection is an option of --model lstm; leave it out");
  expect_refused(train("speech", "sounds", {"--held-out", "0.01"}), 3,
                 "sounds: must have recordings for training and for testing, got 10 in all");
}

TEST_F(Domains, SpokenDigitsNeedTheSynthesiser) {
  expect_refusal(
      run({"train", "--model", "speech"},
          {{"PATH", "/nowhere"}, {"XDG_CACHE_HOME", path("cache").string()}}),
      3,
      "spoken-digits: the command espeak-ng must speak, and it cannot be started; install "
      "Debian's package espeak-ng, or give --data a folder of NAME.wav with NAME.txt");
}

}  // namespace
}  // namespace ampersand::tests::domains_test
