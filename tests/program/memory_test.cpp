// How much memory each precision takes, against what the models' shapes say it must.
#include "tests/program/program.h"

namespace ampersand::tests::memory_test {
namespace {

constexpr std::int64_t kMlpWeights = 4 * (784 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 10 + 10);
constexpr std::int64_t kCnnWeights =
    4 * (9 * 32 + 32 + 9 * 32 * 64 + 64 + 64 * 7 * 7 * 128 + 128 + 128 * 10 + 10);

class Memory : public ProgramTest {
 protected:
  // Two steps, of which the second is counted, of Fashion-MNIST's size.
  Json runs_of(const std::string& model, int batch_size, const Arguments& more) const {
    const auto outcome = run(
        joined({"compare", "--model", model, "--batch-size", std::to_string(batch_size), "--steps",
                "2", "--train-samples", std::to_string(2 * batch_size), "--test-samples", "10",
                "--cpu-fp32-engine", "stock", "--output", "results-" + model},
               more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json_of(path("results-" + model + "/results.json"))["runs"];
  }

  // activations: in fp32, and in 16 bits, in bytes.
  static void expect_activations(const Json& runs, std::int64_t in_32, std::int64_t in_16,
                                 std::int64_t integers) {
    ASSERT_EQ(runs.size(), 3U);
    const double baseline = runs[0]["activation_bytes"];
    EXPECT_NEAR(baseline, static_cast<double>(in_32), 1000);
    for (const auto& run : runs) {
      SCOPED_TRACE(run["precision"]);
      EXPECT_EQ(run["activation_integer_bytes"], integers);
      EXPECT_EQ(run["memory"]["activations"],
                run["activation_bytes"].get<std::int64_t>() + integers);
      if (run["precision"] == "fp32") continue;
      EXPECT_NEAR(run["activation_bytes"], static_cast<double>(in_16), 1000);
      EXPECT_LE(run["activation_bytes"], 0.52 * baseline);
    }
  }

  static void expect_parts(const Json& runs, std::int64_t weights, std::int64_t optimizer) {
    for (const auto& run : runs) {
      SCOPED_TRACE(run["precision"]);
      const auto& memory = run["memory"];
      EXPECT_EQ(memory["weights"], weights);
      // In bf16 and fp16 they stay as the backward pass makes them until the step.
      const bool low = run["precision"] != "fp32";
      EXPECT_EQ(memory["gradients"], low ? weights / 2 : weights);
      // A fused step under a loss scale keeps its norm and its flag, fp32 each, for the next.
      EXPECT_EQ(memory["optimizer"], optimizer + (run["precision"] == "fp16" ? 8 : 0));
      EXPECT_EQ(memory["masters"], 0);  // the weights are the masters
      EXPECT_EQ(memory["copies"], low ? weights / 2 : 0) << "the optimizer writes them";
      EXPECT_GT(run["peak_memory_bytes"], 2 * weights + optimizer);
    }
  }
};

// Alive after the forward pass: the images, the two hidden layers after ReLU, and for the loss in
// fp32 the logarithms of the softmax, in 16 bits the logits and one fp32 number a row. Beside them:
// 256 labels of 8 bytes.
TEST_F(Memory, Mlp) {
  const std::int64_t halved = 256 * 784 + 2 * 256 * 2048;
  const std::int64_t loss_32 = 4 * 256 * 10, loss_16 = 2 * 256 * 10 + 4 * 256;
  const auto runs = runs_of("mlp", 256, {"--precisions", "fp32,bf16,fp16"});
  expect_activations(runs, 4 * halved + loss_32, 2 * halved + loss_16, 8 * 256);
  expect_parts(runs, kMlpWeights, kMlpWeights);  // SGD keeps a momentum
}

// The images, both convolutions after ReLU, what pooling leaves of each with its 8-byte indices,
// the hidden layer, and the loss's as above. Beside them: 128 labels.
TEST_F(Memory, Cnn) {
  const std::int64_t first = 32 * 28 * 28, second = 64 * 14 * 14;
  const std::int64_t halved = 128 * (784 + first + first / 4 + second + second / 4 + 128);
  const std::int64_t loss_32 = 4 * 128 * 10, loss_16 = 2 * 128 * 10 + 4 * 128;
  const auto runs = runs_of("cnn", 128, {"--precisions", "fp32,bf16,fp16"});
  expect_activations(runs, 4 * halved + loss_32, 2 * halved + loss_16,
                     8 * 128 * (first / 4 + second / 4 + 1));
  expect_parts(runs, kCnnWeights, kCnnWeights);
}

TEST_F(Memory, AdamKeepsTwoMomentsAndPlainSgdNothing) {
  expect_parts(runs_of("mlp", 32, {"--precisions", "fp32", "--optimizer", "adam", "--lr", "1e-4"}),
               kMlpWeights, 2 * kMlpWeights);
  expect_parts(runs_of("cnn", 32, {"--precisions", "bf16", "--momentum", "0"}), kCnnWeights, 0);
}

}  // namespace
}  // namespace ampersand::tests::memory_test
