// Models of text as their users run them: trained, continued, exported, refused.
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/files/utf8.h"
#include "tests/program/program.h"

namespace ampersand::tests::text_test {
namespace {

class Text : public ProgramTest {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 120; ++i) text += "the cat sat on the mat and " + std::to_string(i) + "\n";
    write("text.txt", text);
  }

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

  // A model of a moment on text.txt, on one thread so that numbers can be compared bit for bit.
  Arguments tiny(const std::string& command, const std::string& output,
                 const Arguments& more = {}) const {
    return joined({command, "--data", "text.txt", "--context", "16", "--layers", "1", "--width",
                   "16", "--batch-size", "8", "--steps", "12", "--warmup", "2", "--threads", "1",
                   "--output", output},
                  more);
  }
  Arguments gpt(const std::string& output, const Arguments& more = {}) const {
    return tiny("train", output, joined({"--model", "gpt", "--heads", "2"}, more));
  }
};

TEST_F(Text, TrainingEndsWithSamplesAndEvalAgrees) {
  const auto outcome = run(gpt("run", {"--precision", "bf16", "--vocabulary", "bpe-280"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "bits/byte"));
  EXPECT_TRUE(contains(outcome.out, "\nsample   "));
  const auto last = events_of(path("run/metrics.jsonl"), "evaluation").back();
  EXPECT_NEAR(last["perplexity"].get<double>(), std::exp(last["test_loss"].get<double>()), 1e-3);
  EXPECT_FALSE(last.contains("test_accuracy"));
  const auto result = Json::parse(run({"eval", "run", "--json", "--threads", "1"}).out);
  EXPECT_EQ(result["test_loss"], last["test_loss"]);
  EXPECT_EQ(result["bits_per_byte"], last["bits_per_byte"]);
  const auto stored = json_of(path("run/results.json"))["runs"][0];
  EXPECT_GT(stored["tokens_per_second"].get<double>(), 0);
  EXPECT_EQ(stored["samples"].size(), 3u);
  EXPECT_EQ(json_of(path("run/vocabulary.json"))["kind"], "bpe");
}

TEST_F(Text, APromptIsContinued) {
  ASSERT_EQ(run(gpt("run")).status, 0);
  const Arguments ask = {"predict", "run", "--prompt", "the cat", "--tokens", "20"};
  const auto first = run(joined(ask, {"--seed", "4"}));
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(first.out.starts_with("the cat"));
  // A token is a byte, and one that is of no character is written as U+FFFD.
  auto text = first.out;
  for (auto place = text.find("\ufffd"); place != text.npos; place = text.find("\ufffd"))
    text.replace(place, 3, "?");
  EXPECT_EQ(text.size(), 7u + 20u + 1u);
  EXPECT_EQ(valid_utf8(first.out), first.out);
  EXPECT_EQ(run(joined(ask, {"--seed", "4"})).out, first.out);
  EXPECT_NE(run(joined(ask, {"--seed", "5"})).out, first.out);
  EXPECT_TRUE(run({"predict", "run"}).out.starts_with("window,loss,perplexity\n0,"));
  expect_refusal(run({"predict", "run", "--top-k", "3"}), 2,
                 "--top-k says how a text is continued; give --prompt, too");
  expect_refusal(run({"predict", "run", "--prompt", "\xff"}), 2,
                 "--prompt is not UTF-8 from byte 0 on; give text in UTF-8");
}

TEST_F(Text, ResumesToTheSameWeights) {
  ASSERT_EQ(run(gpt("whole", {"--vocabulary", "bpe-280"})).status, 0);
  ASSERT_EQ(run(gpt("parts", {"--vocabulary", "bpe-280", "--checkpoint-every", "5"})).status, 0);
  std::filesystem::remove_all(path("parts/checkpoints/step-000000012"));
  ASSERT_EQ(run({"train", "--resume", "parts"}).status, 0);
  const auto loss = [&](const std::string& name) {
    return events_of(path(name + "/metrics.jsonl"), "evaluation").back()["test_loss"];
  };
  EXPECT_EQ(loss("parts"), loss("whole"));
}

// 120 lines of text, of which the training and the evaluation read the mapped file itself, are cut while it trains.
class LostText : public Text {
 protected:
  // A training that would take hours.
  void expect_end(const std::string& command) {
    Process process(folder_.path(),
                    {command, "--model", "gpt", "--heads", "2", "--data", "text.txt", "--context",
                     "16", "--layers", "1", "--width", "16", "--threads", "1", "--steps", "1000000",
                     "--output", "run"});
    const auto steps = [&] { return events_of(path("run/metrics.jsonl"), "step").size(); };
    for (int i = 0; i < 5000 && steps() < 20; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto size = std::filesystem::file_size(path("text.txt"));
    std::filesystem::resize_file(path("text.txt"), size / 2);
    const auto outcome = process.wait();
    const std::string line = "text.txt: was shortened from " + std::to_string(size) + " to " +
                             std::to_string(size / 2) +
                             " bytes while it was read; restore it and begin again";
    EXPECT_EQ(outcome.status, 3);
    EXPECT_EQ(outcome.err, "ampersand: " + line + "\n");
    const auto run = json_of(path("run/results.json"))["runs"][0];
    EXPECT_EQ(run["ending"], "failed");
    EXPECT_EQ(run["stopped"], line);
    EXPECT_GT(run["failed_at_step"], 20);
    EXPECT_TRUE(contains(outcome.out, "failed at step")) << outcome.out;
  }
};

TEST_F(LostText, EndsATrainingThatKeepsWhatItHasLearned) {
  const auto whole = text_of(path("text.txt"));
  expect_end("train");
  const auto failed = json_of(path("run/results.json"))["runs"][0]["failed_at_step"].get<int>();
  write("text.txt", whole);
  const auto steps = std::to_string(failed + 2);
  const auto resumed = run({"train", "--resume", "run", "--steps", steps});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  const auto from = events_of(path("run/metrics.jsonl"), "resume").at(0)["step"].get<int>();
  EXPECT_EQ(from, failed - 1);
}

TEST_F(LostText, EndsAComparison) { expect_end("compare"); }

TEST_F(Text, WeightsGoOutAndComeIn) {
  ASSERT_EQ(run(gpt("run")).status, 0);
  for (const std::string format : {"gpt2", "safetensors"}) {
    const auto file = format + ".safetensors";
    ASSERT_EQ(run({"export", "run", "--format", format, "--output", file}).status, 0);
    ASSERT_EQ(run(gpt(format, {"--init", file, "--lr", "1e-12"})).status, 0);
    EXPECT_NEAR(
        events_of(path(format + "/metrics.jsonl"), "evaluation").back()["test_loss"].get<double>(),
        events_of(path("run/metrics.jsonl"), "evaluation").back()["test_loss"].get<double>(), 1e-5);
  }
  ASSERT_EQ(run(tiny("train", "lstm", {"--model", "lstm"})).status, 0);
  expect_refusal(run({"export", "lstm", "--format", "gpt2"}), 2,
                 "--format gpt2 is not for --model lstm; use --format safetensors");
}

TEST_F(Text, LoaderThreadsChangeNothing) {
  const auto losses = [&](const std::string& threads) {
    EXPECT_EQ(run(gpt("run" + threads, {"--loader-threads", threads})).status, 0);
    std::vector<Json> all;
    for (const auto& event : events_of(path("run" + threads + "/metrics.jsonl"), "step"))
      all.push_back(event["loss"]);
    return all;
  };
  EXPECT_EQ(losses("0"), losses("3"));
}

TEST_F(Text, GradientsAreMeasuredWithoutATrace) {
  const Arguments some = {"--model", "lstm", "--precision", "fp16"};
  ASSERT_EQ(run(tiny("train", "plain", some)).status, 0);
  ASSERT_EQ(run(tiny("train", "measured", joined(some, {"--gradient-range", "5"}))).status, 0);
  const auto plain = events_of(path("plain/metrics.jsonl"), "step");
  const auto measured = events_of(path("measured/metrics.jsonl"), "step");
  ASSERT_EQ(plain.size(), 12u);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(plain[i]["loss"], measured[i]["loss"]);
  const auto gradients = events_of(path("measured/metrics.jsonl"), "gradients");
  ASSERT_EQ(gradients.size(), 3u);
  EXPECT_GT(gradients[0]["activations"]["total"].get<int>(), 1000);
  EXPECT_LE(gradients[0]["activations"]["lost_scaled"], gradients[0]["activations"]["lost"]);
  EXPECT_EQ(json_of(path("measured/results.json"))["runs"][0]["gradients"]["history"].size(), 3u);
}

TEST_F(Text, ComparesByPerplexity) {
  const auto outcome =
      run(tiny("compare", "both", {"--model", "lstm", "--precisions", "fp32,bf16"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto results = json_of(path("both/results.json"));
  EXPECT_EQ(results["summary"][0]["metric"], "perplexity");
  EXPECT_TRUE(results["summary"][1].contains("within_noise"));
  EXPECT_EQ(results["summary"][1]["scale"], "relative");
  EXPECT_EQ(results["summary"][1]["margin"], 0.01);
  EXPECT_LE(results["runs"][1]["activation_bytes"].get<double>(),
            0.55 * results["runs"][0]["activation_bytes"].get<double>());
}

TEST_F(Text, BadTextIsRefused) {
  write("empty.txt", "");
  write("shortest.txt", "a");
  write("short.txt", std::string(300, 'a') + "\n" + std::string(30, 'b') + "\n");
  write("latin1.txt", "caf\xe9 au lait\n");
  const auto refused = [&](const std::string& file, int status, const std::string& part) {
    expect_refusal_like(run({"train", "--model", "gpt", "--data", file, "--output", "run"}), status,
                        "", part);
    EXPECT_FALSE(std::filesystem::exists(path("run")));
  };
  refused("empty.txt", 3, "empty");
  refused("shortest.txt", 3, "too short");
  refused("short.txt", 2, "context");
  refused("latin1.txt", 3, "UTF-8");
  refused("missing.txt", 3, "missing.txt");
}

TEST_F(Text, OptionsOfAnotherModelAreRefused) {
  expect_refusal(run(gpt("run", {"--projection", "8"})), 2,
                 "--projection is an option of --model lstm; leave it out");
  expect_refusal(run(tiny("train", "run", {"--model", "lstm", "--heads", "2"})), 2,
                 "--heads is an option of --model gpt; leave it out");
  expect_refusal_like(run(gpt("run", {"--embedding", "15"})), 2, "", "--model lstm");
  expect_refusal_like(
      run({"train", "--model", "gpt", "--data", "text.txt", "--context", "16", "--width", "15"}), 2,
      "", "heads");
  expect_refusal(run({"train", "--model", "cnn", "--data", "text.txt"}), 2,
                 "--model cnn learns from images, and --data text.txt has text; give --data "
                 "fashion-mnist, cifar-10 or a folder of images, or --model gpt or lstm");
}

}  // namespace
}  // namespace ampersand::tests::text_test
