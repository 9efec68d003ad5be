// ResNet-18.
#include "app/models/resnet18.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <torch/nn/init.h>

#include <algorithm>

namespace ampersand {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kSmallImage = 64;

nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t stride) {
  // Batch norm follows and would take a bias away again.
  return nn::Conv2d(nn::Conv2dOptions(in, out, size).stride(stride).padding(size / 2).bias(false));
}

// Two 3 x 3 convolutions with a shortcut around them, which has a 1 x 1 convolution of its own
// where the shape changes.
class BasicBlock : public nn::Module {
 public:
  BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride)
      : conv1_(register_module("conv1", convolution(in, out, 3, stride))),
        bn1_(register_module("bn1", nn::BatchNorm2d(out))),
        conv2_(register_module("conv2", convolution(out, out, 3, 1))),
        bn2_(register_module("bn2", nn::BatchNorm2d(out))) {
    if (stride == 1 && in == out) return;
    downsample_ = register_module(
        "downsample", nn::Sequential(convolution(in, out, 1, stride), nn::BatchNorm2d(out)));
  }

  at::Tensor forward(const at::Tensor& x) {
    auto y = at::relu(bn1_(conv1_(x)));
    y = bn2_(conv2_(y));
    return at::relu(y + (downsample_.is_empty() ? x : downsample_->forward(x)));
  }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  nn::Sequential downsample_{nullptr};
};

nn::Sequential stage(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Sequential(std::make_shared<BasicBlock>(in, out, stride),
                        std::make_shared<BasicBlock>(out, out, 1));
}

}  // namespace

ResNet18::ResNet18(const amp::ModelShape& shape)
    : small_(std::max(shape.height, shape.width) <= kSmallImage) {
  conv1_ = register_module("conv1", small_ ? convolution(shape.channels, 64, 3, 1)
                                           : convolution(shape.channels, 64, 7, 2));
  bn1_ = register_module("bn1", nn::BatchNorm2d(64));
  layer1_ = register_module("layer1", stage(64, 64, 1));
  layer2_ = register_module("layer2", stage(64, 128, 2));
  layer3_ = register_module("layer3", stage(128, 256, 2));
  layer4_ = register_module("layer4", stage(256, 512, 2));
  fc_ = register_module("fc", nn::Linear(512, shape.classes));
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* layer = module->as<nn::Conv2dImpl>())
      nn::init::kaiming_normal_(layer->weight, 0, torch::kFanOut, torch::kReLU);
  }
}

at::Tensor ResNet18::forward(const at::Tensor& images) {
  auto x = at::relu(bn1_(conv1_(images)));
  if (!small_) x = at::max_pool2d(x, 3, 2, 1);
  x = layer4_->forward(layer3_->forward(layer2_->forward(layer1_->forward(x))));
  return fc_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
}

}  // namespace ampersand
