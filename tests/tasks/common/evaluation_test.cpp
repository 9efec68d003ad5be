// Loss and accuracy of a model whose logits are known, and in which modes it is asked.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <vector>

#include "app/models/model_evaluator.h"
#include "tasks/images/image_batches.h"
#include "tests/tasks/common/shape_task.h"

namespace ampersand::tests::evaluation_test {
namespace {

// Its logits are the pixels; remembers how it was called.
class Pixels : public Model {
 public:
  at::Tensor forward(const std::vector<at::Tensor>& inputs) override {
    const auto& images = inputs.at(0);
    batch_sizes.push_back(images.size(0));
    trained = trained || training;
    had_gradients = had_gradients || c10::GradMode::is_enabled();
    dtype = images.scalar_type();
    return images.flatten(1);
  }

  std::vector<at::Tensor> parameters() const override { return {}; }
  std::vector<at::Tensor> buffers() const override { return {}; }
  void train(bool on) override { training = on; }
  void to(c10::Device) override {}
  void load(const amp::NamedTensors&) override {}
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer&,
                                             const amp::Recipe&) override {
    return nullptr;
  }

  std::vector<std::int64_t> batch_sizes;
  bool training = true;
  bool trained = false, had_gradients = false;
  c10::ScalarType dtype = c10::kByte;
};

// With these statistics a normalised pixel is the pixel itself.
const PixelStatistics kAsTheyAre{{.mean = 0, .deviation = 1.0 / 255}};
// The losses are ln 2, ln(1 + e^-3) and ln(1 + e^2); the first two images are right.
const ImageSet kThree{3, 1, 1, 2, 2, {0, 0, 0, 3, 2, 0}, {0, 1, 1}};
constexpr double kLoss = (0.69314718056 + 0.04858735157 + 2.12692801104) / 3;

// As a task does that says nothing of its own.
amp::Evaluation evaluated(Model& model, const Batches& batches, const amp::Recipe& recipe) {
  ModelEvaluator evaluator(model, recipe);
  return ShapeTask({}).evaluate(evaluator, batches);
}

TEST(Evaluation, IsTheMeanOverImagesNotBatches) {
  for (const std::int64_t batch_size : {1, 2, 3, 500}) {
    Pixels model;
    const auto result = evaluated(
        model, ImageBatches(kThree, kAsTheyAre, {.batch_size = batch_size}), amp::Recipe::fp32());
    EXPECT_NEAR(result.loss, kLoss, 1e-5) << batch_size;
    EXPECT_NEAR(result.measures.at("test_accuracy"), 2.0 / 3, 1e-12) << batch_size;
  }
}

TEST(Evaluation, AsksInEvalModeWithoutGradients) {
  Pixels model;
  evaluated(model, ImageBatches(kThree, kAsTheyAre, {.batch_size = 2}), amp::Recipe::fp32());
  EXPECT_EQ(model.batch_sizes, (std::vector<std::int64_t>{2, 1}));
  EXPECT_FALSE(model.trained);
  EXPECT_FALSE(model.had_gradients);
  EXPECT_TRUE(model.training);
  EXPECT_TRUE(c10::GradMode::is_enabled());
}

TEST(Evaluation, TakesTheLossInFp32) {
  Pixels model;
  const ImageBatches batches(kThree, kAsTheyAre, {.batch_size = 3, .dtype = c10::kHalf});
  const auto result = evaluated(model, batches, amp::Recipe::fp16());
  EXPECT_EQ(model.dtype, c10::kHalf);
  EXPECT_NEAR(result.loss, kLoss, 1e-5);  // 0, 2 and 3 are exact in fp16; the loss would not be
}

}  // namespace
}  // namespace ampersand::tests::evaluation_test
