// The LSTM language model against its equations written out, and what it refuses.
#include "tasks/text/lstm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/app/errors.h"

namespace ampersand::tests::lstm_test {
namespace {

using at::Tensor;

// In double precision, one sequence after the other, one step after the other.
class WrittenOut {
 public:
  explicit WrittenOut(const LstmModel& model) : model_(model), options_(model.options()) {}

  Tensor logits(const Tensor& tokens) const {
    std::vector<Tensor> sequences;
    for (const auto& sequence : tokens.unbind(0)) sequences.push_back(of_one(sequence));
    return at::stack(sequences);
  }

 private:
  Tensor weight(const std::string& name) const {
    return model_.named_parameters()[name].detach().to(at::kDouble);
  }

  Tensor of_one(const Tensor& sequence) const {
    std::vector<Tensor> rows;
    for (const auto& token : sequence.unbind(0))
      rows.push_back(weight("embedding.weight")[token.item<std::int64_t>()]);
    for (std::int64_t layer = 0; layer < options_.layers; ++layer) rows = after(rows, layer);
    const auto matrix = weight(options_.tied ? "embedding.weight" : "output.weight");
    const auto bias = weight(options_.tied ? "output_bias" : "output.bias");
    for (auto& row : rows) row = at::matmul(matrix, row) + bias;
    return at::stack(rows);
  }

  std::vector<Tensor> after(const std::vector<Tensor>& rows, std::int64_t layer) const {
    const auto of = [&](const char* kind) {
      return weight(std::string("lstm.") + kind + "_l" + std::to_string(layer));
    };
    const auto bias = of("bias_ih") + of("bias_hh");
    const bool projects = options_.projection > 0;
    auto h = at::zeros({projects ? options_.projection : options_.hidden}, at::kDouble);
    auto c = at::zeros({options_.hidden}, at::kDouble);
    std::vector<Tensor> outputs;
    for (const auto& x : rows) {
      const auto gates =
          (at::matmul(of("weight_ih"), x) + at::matmul(of("weight_hh"), h) + bias).chunk(4);
      c = gates[1].sigmoid() * c + gates[0].sigmoid() * gates[2].tanh();
      h = gates[3].sigmoid() * c.tanh();
      if (projects) h = at::matmul(of("weight_hr"), h);
      outputs.push_back(h);
    }
    return outputs;
  }

  const LstmModel& model_;
  LstmOptions options_;
};

class LstmShapes : public testing::TestWithParam<LstmOptions> {};

TEST_P(LstmShapes, ComputesItsEquations) {
  const c10::NoGradGuard no_grad;
  LstmModel model(GetParam());
  const auto tokens = at::randint(GetParam().vocabulary, {3, 7}, at::kLong);
  const auto logits = model.forward(tokens);
  const auto expected = WrittenOut(model).logits(tokens);
  ASSERT_EQ(logits.sizes(), expected.sizes());
  EXPECT_LT((logits.to(at::kDouble) - expected).abs().max().item<double>(), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Options, LstmShapes,
    testing::Values(
        LstmOptions{.vocabulary = 20, .embedding = 6, .hidden = 9},
        LstmOptions{.vocabulary = 20, .embedding = 6, .hidden = 9, .layers = 3, .projection = 4},
        LstmOptions{.vocabulary = 20, .embedding = 8, .hidden = 8, .layers = 1, .tied = true},
        LstmOptions{.vocabulary = 20, .embedding = 6, .hidden = 9, .projection = 6, .tied = true}));

TEST(LstmModel, DropsOutOnlyInTraining) {
  const c10::NoGradGuard no_grad;
  LstmModel model({.vocabulary = 20, .embedding = 6, .hidden = 9, .layers = 1, .dropout = 0.5});
  const auto tokens = at::zeros({1, 4}, at::kLong);
  EXPECT_FALSE(model.forward(tokens).equal(model.forward(tokens)));
  model.eval();
  EXPECT_TRUE(model.forward(tokens).equal(model.forward(tokens)));
}

// A sequence does not depend on those beside it or before it.
TEST(LstmModel, EachWindowBeginsWithZeros) {
  const c10::NoGradGuard no_grad;
  LstmModel model({.vocabulary = 20, .embedding = 6, .hidden = 9});
  const auto tokens = at::randint(20, {4, 5}, at::kLong);
  const auto together = model.forward(tokens);
  EXPECT_TRUE(model.forward(tokens.narrow(0, 2, 1)).allclose(together.narrow(0, 2, 1), 1e-5, 1e-6));
}

TEST(LstmModel, RefusesOptionsOutOfRange) {
  const auto refusal = [](LstmOptions options) {
    return error_of<amp::InvalidArgument>([&] { LstmModel model(options); });
  };
  EXPECT_EQ(
      refusal({.embedding = 256, .hidden = 512, .tied = true}),
      "LstmModel: a tied output must be as wide as the embedding, 256, got 512; set projection "
      "to 256, or do not tie");
  EXPECT_EQ(refusal({.hidden = 16, .projection = 16}),
            "LstmModel: projection must be 0 (none) or less than hidden, 16, got 16");
  EXPECT_EQ(refusal({.projection = -1}),
            "LstmModel: projection must be 0 (none) or less than hidden, 512, got -1");
  EXPECT_EQ(refusal({.layers = 0}), "LstmModel: layers must be >= 1, got 0");
  EXPECT_EQ(refusal({.vocabulary = 0}), "LstmModel: vocabulary must be >= 1, got 0");
  EXPECT_EQ(refusal({.dropout = -0.5}), "LstmModel: dropout must be >= 0 and < 1, got -0.500000");
}

TEST(LstmModel, RefusesTokensItCannotTake) {
  LstmModel model({.vocabulary = 20, .embedding = 6, .hidden = 9});
  const auto refusal = [&](const Tensor& tokens) {
    return error_of<amp::InvalidArgument>([&] { model.forward(tokens); });
  };
  EXPECT_EQ(
      refusal(at::full({1, 3}, 20, at::kLong)),
      "LstmModel: tokens must be from 0 to 19, the vocabulary's last, got 20; encode the text "
      "with the vocabulary that the model was made for");
  EXPECT_EQ(refusal(at::zeros({2, 3})),
            "LstmModel: tokens must be Long [batch, time], not empty, got Float [2, 3]");
}

}  // namespace
}  // namespace ampersand::tests::lstm_test
