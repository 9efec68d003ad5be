// Two models of one's own for `ampersand train --model ./libmy_models.so:NAME`.
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/relu.h>
#include <amp/model_registry.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace {

namespace nn = torch::nn;

// Any torch::nn module with `forward`. A constructor that takes the shape of the data is optional.
class Pooled : public nn::Module {
 public:
  explicit Pooled(const amp::ModelShape& shape)
      : conv_(register_module("conv",
                              nn::Conv2d(nn::Conv2dOptions(shape.channels, 32, 3).padding(1)))),
        out_(register_module("out", nn::Linear(32 * 4 * 4, shape.classes))) {}

  at::Tensor forward(const at::Tensor& images) {
    const auto x = at::relu(conv_(images));
    return out_(at::adaptive_avg_pool2d(x, {4, 4}).flatten(1));
  }

 private:
  nn::Conv2d conv_;
  nn::Linear out_;
};

// The same with a loss of its own: a method `loss`.
class Smoothed : public Pooled {
 public:
  using Pooled::Pooled;
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) {
    return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100,
                                  /*label_smoothing=*/0.1);
  }
};

}  // namespace

AMP_REGISTER_MODEL("pooled", Pooled);
AMP_REGISTER_MODEL("smoothed", Smoothed);
