// The translating transformer: its parameters, what padding and later tokens change, and its batches.
#include "tasks/translation/seq2seq.h"

#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <set>

#include "amp/recipe.h"
#include "app/models/model_evaluator.h"
#include "tasks/translation/greedy_translation.h"
#include "tasks/translation/pair_batches.h"
#include "tests/app/errors.h"

namespace ampersand::tests::seq2seq_test {
namespace {

using Tokens = std::vector<std::int64_t>;

at::Tensor row(const Tokens& tokens) { return at::tensor(tokens, c10::kLong).unsqueeze(0); }

Tokens listed(const at::Tensor& tensor) {
  const auto flat = tensor.flatten().contiguous();
  const auto* first = flat.const_data_ptr<std::int64_t>();
  return {first, first + flat.numel()};
}

std::shared_ptr<Seq2seq> small() {
  at::manual_seed(4);
  auto model = std::make_shared<Seq2seq>(
      Seq2seqOptions{.vocabulary = 13, .padding = 12, .layers = 2, .width = 8, .heads = 2});
  model->eval();
  return model;
}

TEST(Seq2seqModel, HasItsParameters) {
  std::int64_t count = 0;
  for (const auto& parameter : small()->parameters()) count += parameter.numel();
  // Attention: 4 matrices of 8 x 8 and biases; feed-forward: 8 x 32 + 32 + 32 x 8 + 8; norms: 16.
  constexpr int kAttention = 4 * 64 + 4 * 8, kFeed = 552, kNorm = 16;
  constexpr int kEncoder = 2 * (kAttention + kFeed + 2 * kNorm) + kNorm;
  constexpr int kDecoder = 2 * (2 * kAttention + kFeed + 3 * kNorm) + kNorm;
  EXPECT_EQ(count, 13 * 8 + kEncoder + kDecoder);
}

TEST(Seq2seqModel, PaddingOfTheSourceChangesNothing) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto target = row({10, 1, 2, 3});
  const auto alone = model->forward(row({4, 5, 6}), target);
  const auto padded = model->forward(row({4, 5, 6, 12, 12}), target);
  EXPECT_TRUE(at::allclose(alone, padded, 1e-5, 1e-6));
  // The test can fail: another token there does change the result.
  EXPECT_FALSE(at::allclose(alone, model->forward(row({4, 5, 6, 7, 12}), target), 1e-3, 1e-3));
}

TEST(Seq2seqModel, APairOfABatchIsThePairAlone) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto both = model->forward(at::cat({row({4, 5, 12}), row({7, 8, 9})}),
                                   at::cat({row({10, 1, 12}), row({10, 2, 3})}));
  const auto first = model->forward(row({4, 5}), row({10, 1}));
  EXPECT_TRUE(at::allclose(both[0].narrow(0, 0, 2), first[0], 1e-5, 1e-6));
}

TEST(Seq2seqModel, TheDecoderSeesNoLaterToken) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto source = row({4, 5, 6});
  const auto one = model->forward(source, row({10, 1, 2, 3}));
  const auto other = model->forward(source, row({10, 1, 9, 8}));
  EXPECT_TRUE(at::allclose(one.narrow(1, 0, 2), other.narrow(1, 0, 2), 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(one.select(1, 2), other.select(1, 2), 1e-3, 1e-3));
}

TEST(Seq2seqModel, TheOrderOfTheSourceMatters) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  EXPECT_FALSE(at::allclose(model->forward(row({4, 5, 6}), row({10})),
                            model->forward(row({6, 5, 4}), row({10})), 1e-3, 1e-3));
}

// bf16 has no 301, and no angle of 300 radians to a quarter turn: positions are made in fp32.
TEST(Seq2seqModel, PositionsAreExactInLowPrecision) {
  const c10::NoGradGuard no_grad;
  const auto model = small();
  const auto target = at::full({1, 400}, 3, c10::kLong);
  const auto wide = model->forward(row({4}), target);
  const auto recipe = amp::Recipe::bf16();
  const auto autocast = recipe.autocast(c10::kCPU);
  const auto low = model->forward(row({4}), target).to(c10::kFloat);
  const auto error = (low - wide).abs().narrow(1, 200, 200).mean().item<double>();
  const auto size = wide.narrow(1, 200, 200).abs().mean().item<double>();
  EXPECT_LT(error, 0.03 * size);
}

TEST(Seq2seqModel, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { small()->forward(row({13}), row({1})); }),
            "Seq2seq: tokens must be from 0 to 12, the vocabulary's last, got 13; encode the text "
            "with the vocabulary that the model was made for");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] {
              small()->forward(row({1}), at::cat({row({1}), row({2})}));
            }),
            "Seq2seq: source and target must have as many rows, got 1 and 2");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { Seq2seq({.width = 10, .heads = 4}); }),
            "Seq2seq: width must be even and a multiple of heads, got 10 and 4");
  ModelSizes sizes;
  sizes.projection = 4;
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { make_seq2seq(13, sizes); }),
            "--projection is an option of --model lstm; leave it out");
}

PairSet three_pairs() {
  const auto vocabulary = Vocabulary::bytes();
  PairSet set;
  set.add("a", "bcd", vocabulary);
  set.add("efg", "h", vocabulary);
  set.add("ij", "kl", vocabulary);
  return set;
}

constexpr PairMarks kMarks{256, 257, 258};

TEST(PairBatches, PadAndFrame) {
  const auto set = three_pairs();
  const PairBatches batches(set, kMarks, 2);
  EXPECT_EQ(batches.batches(), 2);
  const auto first = batches.get(0);
  EXPECT_EQ(listed(first.inputs.at(0)), (Tokens{'a', 258, 258, 'e', 'f', 'g'}));
  EXPECT_EQ(listed(first.inputs.at(1)), (Tokens{256, 'b', 'c', 'd', 256, 'h', 258, 258}));
  EXPECT_EQ(listed(first.targets.at(0)), (Tokens{'b', 'c', 'd', 257, 'h', 257, -100, -100}));
  const auto last = batches.get(1);
  EXPECT_EQ(listed(last.inputs.at(0)), (Tokens{'i', 'j'}));
  EXPECT_EQ(listed(last.targets.at(0)), (Tokens{'k', 'l', 257}));
}

TEST(PairBatches, AnEpochHasEachPairOnceInAnOrderOfSeedAndEpoch) {
  const auto set = three_pairs();
  PairBatches one(set, kMarks, 1), other(set, kMarks, 1);
  std::set<Tokens> orders;
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
    one.shuffle(7, epoch);
    Tokens order;
    for (int i = 0; i < 3; ++i) order.push_back(listed(one.get(i).inputs.at(0)).front());
    other.shuffle(3, 1);
    other.shuffle(7, epoch);
    for (int i = 0; i < 3; ++i)
      EXPECT_TRUE(at::equal(other.get(i).inputs[1], one.get(i).inputs[1]));
    orders.insert(order);
    std::ranges::sort(order);
    EXPECT_EQ(order, (Tokens{'a', 'e', 'i'}));
  }
  EXPECT_GT(orders.size(), 2u);
}

TEST(PairBatches, AreRefused) {
  const auto set = three_pairs();
  EXPECT_EQ(error_of<amp::InvalidArgument>([&] { PairBatches(set, kMarks, 0); }),
            "PairBatches: batch_size must be at least 1, got 0");
  EXPECT_EQ(error_of<amp::InvalidArgument>([] { PairBatches(PairSet(), kMarks, 1); }),
            "PairBatches: there must be pairs, got none");
}

// Says the source backwards: begin, then its tokens from the last on, then end, whatever was asked.
class Backwards : public Model {
 public:
  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    const auto source = inputs.at(0), target = inputs.at(1);
    auto logits = at::full({source.size(0), target.size(1), 13}, 0.0F);
    for (std::int64_t k = 0; k < source.size(0); ++k) {
      const auto length = source[k].ne(12).sum().item<std::int64_t>();
      for (std::int64_t t = 0; t < target.size(1); ++t) {
        const auto next = t < length ? source[k][length - 1 - t].item<std::int64_t>() : 11;
        logits[k][t][next] = 1;
      }
    }
    logits.select(2, 12).fill_(2);  // padding, the likeliest, must not be chosen
    return logits;
  }
  std::vector<at::Tensor> parameters() const override { return {at::full({1}, 0.0F)}; }
  std::vector<at::Tensor> buffers() const override { return {}; }
  void train(bool) override {}
  void to(c10::Device) override {}
  void load(const amp::NamedTensors&) override {}
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer&,
                                             const amp::Recipe&) override {
    return nullptr;
  }
};

TEST(GreedyTranslation, EndsEachTextAtItsOwnEnd) {
  Backwards model;
  const auto sources = at::cat({row({1, 2, 3}), row({4, 12, 12})});
  const PairMarks marks{10, 11, 12};
  ModelEvaluator evaluator(model, amp::Recipe::fp32());
  EXPECT_EQ(translate(evaluator, sources, marks, 9), (std::vector<Tokens>{{3, 2, 1}, {4}}));
  EXPECT_EQ(translate(evaluator, sources, marks, 2), (std::vector<Tokens>{{3, 2}, {4}}));
}

}  // namespace
}  // namespace ampersand::tests::seq2seq_test
