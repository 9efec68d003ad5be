// Where gradients lie, on gradients that are known; and that measuring leaves no trace.
#include "app/training/gradient_range.h"

#include <ATen/Context.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ampersand::tests::gradient_range_test {
namespace {

// The loss is the sum of factor[i] * weight[i]: the gradients of the weights are the factors.
class Linear : public Model {
 public:
  explicit Linear(at::Tensor factors) : factors_(std::move(factors)) {}

  at::Tensor forward(const std::vector<at::Tensor>&) override {
    buffer_.add_(1);
    at::rand({1});
    return at::mul(weight_, factors_);
  }
  std::vector<at::Tensor> parameters() const override { return {weight_}; }
  std::vector<at::Tensor> buffers() const override { return {buffer_}; }
  void train(bool) override {}
  void to(c10::Device) override {}
  void load(const amp::NamedTensors&) override {}
  std::unique_ptr<amp::TrainStep> train_step(torch::optim::Optimizer&,
                                             const amp::Recipe&) override {
    return nullptr;
  }

 private:
  at::Tensor factors_;
  at::Tensor weight_ = at::ones({4}).requires_grad_();
  at::Tensor buffer_ = at::zeros({1});
};

TEST(GradientRange, CountsWhatFp16Loses) {
  // 2^-24 is fp16's smallest number: one gradient below it, one at it, one zero, one above 2^16.
  Linear model(at::tensor({0x1p-25, 0x1p-24, 0.0, 0x1p17}, c10::kFloat));
  const auto range = gradient_range(model, c10::kCPU, [&] { return model.forward({}).sum(); });
  const auto plain = gradient_range_json(range, 1).at("weights");
  EXPECT_EQ(plain.at("total"), 4);
  EXPECT_EQ(plain.at("zero"), 0.25);
  EXPECT_EQ(plain.at("lost"), 0.25);
  EXPECT_EQ(plain.at("lost_scaled"), 0.25);
  EXPECT_EQ(plain.at("overflow_scaled"), 0.25);
  EXPECT_EQ(plain.at("first_exponent"), -25);
  EXPECT_EQ(plain.at("counts").size(), 43u);  // 2^-25 to 2^17
  const auto scaled = gradient_range_json(range, 1024).at("weights");
  EXPECT_EQ(scaled.at("lost"), 0.25);
  EXPECT_EQ(scaled.at("lost_scaled"), 0);
}

TEST(GradientRange, LeavesNoTrace) {
  Linear model(at::ones({4}));
  at::manual_seed(5);
  const auto expected = at::rand({3});
  at::manual_seed(5);
  gradient_range(model, c10::kCPU, [&] { return model.forward({}).sum(); });
  EXPECT_TRUE(at::rand({3}).equal(expected));
  EXPECT_EQ(model.buffers()[0].item<float>(), 0);
  EXPECT_FALSE(model.parameters()[0].grad().defined());
}

}  // namespace
}  // namespace ampersand::tests::gradient_range_test
