// Speech: spectrograms, batches, the model's masks, CTC's loss, and what counts as an error.
#include "tasks/speech/speech.h"

#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "app/models/model_evaluator.h"
#include "tasks/speech/spectrogram.h"
#include "tasks/speech/speech_batches.h"
#include "tasks/speech/transcription.h"
#include "tests/app/errors.h"

namespace ampersand::tests::speech_test {
namespace {

using Labels = std::vector<std::int64_t>;

Labels listed(const at::Tensor& tensor) {
  const auto flat = tensor.flatten().contiguous();
  const auto* first = flat.const_data_ptr<std::int64_t>();
  return {first, first + flat.numel()};
}

at::Tensor lengths_of(const Labels& lengths) { return at::tensor(lengths, c10::kLong); }

std::shared_ptr<Speech> small() {
  at::manual_seed(4);  // weights of which no channel is dead
  auto model = std::make_shared<Speech>(
      SpeechOptions{.bands = 8, .labels = 4, .channels = 2, .layers = 2, .width = 3});
  model->eval();
  return model;
}

TEST(SpeechModel, HasItsParameters) {
  std::int64_t count = 0;
  for (const auto& parameter : small()->parameters()) count += parameter.numel();
  // 1 and 2 channels to 2 by 3 x 3; LSTMs of 4 gates: 2 x 2 bands, then 6 inputs, 3 states, two
  // biases, each way; 6 x 4 + 4.
  EXPECT_EQ(count, (18 + 2) + (36 + 2) + 2 * 4 * 3 * (4 + 3 + 2) + 2 * 4 * 3 * (6 + 3 + 2) + 28);
}

TEST(SpeechModel, LeavesAQuarterOfTheFrames) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  for (const std::int64_t frames : {1, 2, 3, 4, 5, 8, 9}) {
    const auto rows = model->forward(at::rand({1, frames, 8}), lengths_of({frames})).size(1);
    EXPECT_EQ(rows, (frames + 3) / 4) << frames;
    EXPECT_EQ(Speech::output_length(frames), rows);
  }
}

TEST(SpeechModel, PaddingChangesNothing) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto long_one = at::rand({1, 23, 8});
  for (const std::int64_t frames : {1, 2, 5, 6, 7, 8, 21}) {
    const auto short_one = at::rand({1, frames, 8});
    const auto alone = model->forward(short_one, lengths_of({frames}));
    // Neither what is behind the end nor how much of it.
    const auto padded = at::cat({short_one, at::rand({1, 23 - frames, 8})}, 1);
    const auto both = model->forward(at::cat({padded, long_one}), lengths_of({frames, 23}));
    EXPECT_TRUE(at::allclose(both[0].narrow(0, 0, alone.size(1)), alone[0], 1e-5, 1e-6)) << frames;
    EXPECT_TRUE(at::allclose(both[1], model->forward(long_one, lengths_of({23}))[0], 1e-5, 1e-6));
  }
}

TEST(SpeechModel, LooksBothWays) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto frames = at::rand({1, 24, 8});
  const auto result = model->forward(frames, lengths_of({24}));
  for (const int place : {0, 23}) {
    auto changed = frames.clone();
    changed.select(1, place).add_(3);
    const auto other = model->forward(changed, lengths_of({24}));
    for (const int row : {0, 5})
      EXPECT_FALSE(at::equal(result.select(1, row), other.select(1, row))) << place << ' ' << row;
  }
}

TEST(SpeechModel, RefusesWhatDoesNotFit) {
  EXPECT_EQ(
      error_of<amp::InvalidArgument>([] {
        small()->forward(at::rand({1, 4, 7}), lengths_of({4}));
      }),
      "Speech: frames must be floating-point [batch, time, 8], not empty, got Float [1, 4, 7]");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] {
              small()->forward(at::rand({1, 4, 8}), lengths_of({4, 4}));
            }),
            "Speech: lengths must be Long [1], one for each recording, got Long [2]");
  for (const std::int64_t wrong : {0, 5}) {
    EXPECT_EQ(error_of<amp::InvalidArgument>([&] {
                small()->forward(at::rand({1, 4, 8}), lengths_of({wrong}));
              }),
              "Speech: lengths must be from 1 to 4, the frames that are there, got " +
                  std::to_string(wrong));
  }
  ModelSizes sizes;
  sizes.heads = 2;
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { make_speech({}, sizes); }),
            "--heads is an option of --model gpt or seq2seq; leave it out");
}

// Logits of 0 make every path equally likely: of 3^2 paths over two rows {11, 10, 01} say "1", and of
// 3^3 over three rows one, 1 0 1, says "11".
TEST(CtcLoss, CountsPaths) {
  const auto logits = at::zeros({2, 3, 3});
  const auto loss = ctc_loss(
      logits, {2, 3}, at::tensor(Labels{1, 0, 1, 1}, c10::kLong).view({2, 2}), lengths_of({1, 2}));
  EXPECT_NEAR(loss.item<double>(), (std::log(9.0 / 3) / 1 + std::log(27.0 / 1) / 2) / 2, 1e-6);
}

TEST(CtcLoss, IsTakenInFp32) {
  for (const auto dtype : {c10::kHalf, c10::kBFloat16}) {
    const auto logits = at::zeros({1, 2, 3}, dtype).requires_grad_();
    const auto loss =
        ctc_loss(logits, {2}, at::tensor(Labels{1}, c10::kLong).view({1, 1}), lengths_of({1}));
    EXPECT_EQ(loss.scalar_type(), c10::kFloat);
    EXPECT_NEAR(loss.item<double>(), std::log(3.0), 1e-6);
    loss.backward();
    EXPECT_EQ(logits.grad().scalar_type(), dtype);
  }
}

TEST(CtcLoss, IsInfiniteWithoutAPath) {
  const auto loss = ctc_loss(at::zeros({1, 2, 3}), {2},
                             at::tensor(Labels{1, 1}, c10::kLong).view({1, 2}), lengths_of({2}));
  EXPECT_TRUE(std::isinf(loss.item<double>()));
}

TEST(GreedyLabels, DropRepetitionsThenBlanks) {
  const Labels path = {0, 1, 1, 0, 1, 2, 2, 0, 0, 3, 1};
  auto logits = at::zeros({11, 4});
  for (std::int64_t t = 0; t < 11; ++t) logits[t][path[static_cast<std::size_t>(t)]] = 1;
  EXPECT_EQ(greedy_labels(logits, 11), (Labels{1, 1, 2, 3, 1}));
  EXPECT_EQ(greedy_labels(logits, 4), Labels{1});
}

TEST(EditDistance, IsAsCountedByHand) {
  const auto of = [](std::string_view a, std::string_view b) {
    return edit_distance(Labels(a.begin(), a.end()), Labels(b.begin(), b.end()));
  };
  EXPECT_EQ(of("", ""), 0);
  EXPECT_EQ(of("", "abc"), 3);
  EXPECT_EQ(of("abc", ""), 3);
  EXPECT_EQ(of("kitten", "sitting"), 3);
  EXPECT_EQ(of("421", "421"), 0);
  EXPECT_EQ(of("421", "4221"), 1);
  EXPECT_EQ(of("12", "21"), 2);
  EXPECT_EQ(of("flaw", "lawn"), 2);
}

// Hears label `heard` once in every recording.
class Constant : public Model {
 public:
  explicit Constant(std::int64_t heard) : heard_(heard) {}
  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    auto logits = at::zeros({inputs[0].size(0), Speech::output_length(inputs[0].size(1)), 3});
    logits.select(2, heard_).fill_(1);
    return logits;
  }
  at::Tensor loss(const at::Tensor&, const std::vector<at::Tensor>& targets) override {
    return targets.at(1).to(c10::kFloat).mean();  // the mean number of labels
  }
  std::vector<at::Tensor> parameters() const override { return {}; }
  std::vector<at::Tensor> buffers() const override { return {}; }
  void train(bool) override {}
  void to(c10::Device) override {}
  void load(const amp::NamedTensors&) override {}
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer&,
                                             const amp::Recipe&) override {
    return nullptr;
  }

 private:
  std::int64_t heard_;
};

std::vector<Spoken> three_recordings() {
  return {{at::ones({5, 2}), {1}}, {at::full({8, 2}, 2.0F), {1, 2}}, {at::full({2, 2}, 3.0F), {2}}};
}

TEST(SpeechEvaluation, CountsEditsOverAllLabels) {
  const auto set = three_recordings();
  for (const std::int64_t batch : {1, 2, 3}) {
    const SpeechBatches batches(set, batch, c10::kFloat);
    Constant one(1);
    const auto evaluated = [&](Model& model) {
      ModelEvaluator evaluator(model, amp::Recipe::fp32());
      return evaluate_speech(evaluator, batches);
    };
    const auto result = evaluated(one);
    EXPECT_NEAR(result.measures.at("test_accuracy"), 1 - 2.0 / 4, 1e-12)
        << batch;  // "2" is missing, and one is wrong
    EXPECT_NEAR(result.loss, 4.0 / 3, 1e-6) << batch;
    EXPECT_EQ(result.measures.size(), 1);
    Constant none(0);
    EXPECT_EQ(evaluated(none).measures.at("test_accuracy"), 0.0);
  }
}

TEST(SpeechBatches, Pad) {
  const auto set = three_recordings();
  const SpeechBatches batches(set, 2, c10::kHalf);
  const auto first = batches.get(0);
  const auto& frames = first.inputs.at(0);
  EXPECT_EQ(frames.sizes(), (std::vector<std::int64_t>{2, 8, 2}));
  EXPECT_EQ(frames.scalar_type(), c10::kHalf);
  EXPECT_EQ(frames[0].sum().item<double>(), 5 * 2 * 1.0);
  EXPECT_EQ(frames[0].narrow(0, 5, 3).abs().sum().item<double>(), 0);
  EXPECT_EQ(listed(first.inputs.at(1)), (Labels{5, 8}));
  EXPECT_EQ(listed(first.targets.at(0)), (Labels{1, 0, 1, 2}));
  EXPECT_EQ(listed(first.targets.at(1)), (Labels{1, 2}));
  EXPECT_EQ(listed(batches.get(1).inputs.at(1)), Labels{2});
}

TEST(SpeechBatches, AreShuffledBySeedAndEpoch) {
  const auto set = three_recordings();
  SpeechBatches one(set, 1, c10::kFloat), other(set, 1, c10::kFloat);
  bool differs = false;
  for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
    one.shuffle(1, epoch);
    other.shuffle(1, epoch);
    std::int64_t frames = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(listed(one.get(i).inputs[1]), listed(other.get(i).inputs[1]));
      frames += listed(one.get(i).inputs[1]).front();
    }
    EXPECT_EQ(frames, 15);
    differs = differs || listed(one.get(0).inputs[1]).front() != 5;
  }
  EXPECT_TRUE(differs);
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { SpeechBatches(set, 0, c10::kFloat); }),
            "SpeechBatches: batch_size must be at least 1, got 0");
}

Sound sine(double hertz, std::int64_t rate, double seconds) {
  Sound sound{.rate = rate, .samples = {}};
  for (int i = 0; i < static_cast<int>(seconds * static_cast<double>(rate)); ++i)
    sound.samples.push_back(static_cast<float>(
        0.5 * std::sin(2 * std::numbers::pi * hertz * i / static_cast<double>(rate))));
  return sound;
}

TEST(Spectrogram, HasAFrameEveryTenMilliseconds) {
  EXPECT_EQ(spectrogram(sine(440, 16000, 1)).sizes(), (std::vector<std::int64_t>{101, kBands}));
  EXPECT_EQ(spectrogram(sine(440, 22050, 0.5)).size(0), 1 + 11025 / 221);  // 220.5, rounded up
}

// A tone that changes half way: its energy is in the band of its own frequency, at any rate. Between
// 60 and 7600 Hz lie 85.7 to 2,780 mel; a band is 65.7 wide; 500 Hz are 607 mel: the 8th (from 1),
// 2000 Hz 1,521: the 21st or 22nd.
TEST(Spectrogram, PutsATonesEnergyIntoItsBand) {
  for (const std::int64_t rate : {16000, 22050, 44100}) {
    auto sound = sine(500, rate, 0.5);
    const auto higher = sine(2000, rate, 0.5).samples;
    sound.samples.insert(sound.samples.end(), higher.begin(), higher.end());
    const auto frames = spectrogram(sound);
    EXPECT_EQ(frames[20].argmax().item<std::int64_t>(), 7) << rate;
    EXPECT_NEAR(static_cast<double>(frames[80].argmax().item<std::int64_t>()), 20.5, 0.6) << rate;
  }
}

TEST(Spectrogram, IsNormalised) {
  std::mt19937 generator(1);
  Sound noise{.rate = 16000, .samples = {}};
  for (int i = 0; i < 8000; ++i)
    noise.samples.push_back(static_cast<float>(generator()) * 0x1p-32F - 0.5F);
  const auto frames = spectrogram(noise);
  EXPECT_LT(frames.mean(0).abs().max().item<double>(), 1e-4);
  EXPECT_NEAR(frames.square().mean().item<double>(), 1, 1e-4);
  for (auto& sample : noise.samples)
    sample *= 0.25F;  // how loud it is does not matter, but for the floor
  EXPECT_LT((spectrogram(noise) - frames).abs().max().item<double>(), 0.02);
}

TEST(Spectrogram, OfSilenceIsZeroAndOfOneSampleIsFinite) {
  const Sound silence{.rate = 8000, .samples = std::vector<float>(4000)};
  EXPECT_EQ(spectrogram(silence).abs().max().item<double>(), 0);
  const auto one = spectrogram({.rate = 8000, .samples = {1}});
  EXPECT_GE(one.size(0), 1);
  EXPECT_TRUE(one.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace ampersand::tests::speech_test
