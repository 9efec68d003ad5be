// ResNet-18 from torch::nn's modules.
#include "tasks/images/resnet18.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>
#include <torch/nn/init.h>

#include <algorithm>

namespace ampersand {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kLargestSmallImage = 64;

// Without a bias, which the batch norm behind it would take away again.
nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, size).stride(stride).padding(size / 2).bias(false));
}

// relu(x + bn(conv(relu(bn(conv(x)))))), where x is brought to the shape of the sum if need be.
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
    const auto hidden = bn1_(conv1_(x)).relu_();
    const auto shortcut = downsample_ ? downsample_->forward(x) : x;
    return bn2_(conv2_(hidden)).add_(shortcut).relu_();
  }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  nn::Sequential downsample_{nullptr};
};

nn::Sequential two_blocks(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Sequential(std::make_shared<BasicBlock>(in, out, stride),
                        std::make_shared<BasicBlock>(out, out, 1));
}

bool is_large(const amp::ModelShape& shape) {
  return std::max(shape.height, shape.width) > kLargestSmallImage;
}

}  // namespace

ResNet18::ResNet18(const amp::ModelShape& shape)
    : large_(is_large(shape)),
      conv1_(register_module("conv1", large_ ? convolution(shape.channels, 64, 7, 2)
                                             : convolution(shape.channels, 64, 3, 1))),
      bn1_(register_module("bn1", nn::BatchNorm2d(64))),
      layer1_(register_module("layer1", two_blocks(64, 64, 1))),
      layer2_(register_module("layer2", two_blocks(64, 128, 2))),
      layer3_(register_module("layer3", two_blocks(128, 256, 2))),
      layer4_(register_module("layer4", two_blocks(256, 512, 2))),
      fc_(register_module("fc", nn::Linear(512, shape.classes))) {
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* conv = module->as<nn::Conv2d>()) {
      nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
    }
  }
}

at::Tensor ResNet18::forward(const at::Tensor& images) {
  auto x = bn1_(conv1_(images)).relu_();
  if (large_) x = at::max_pool2d(x, 3, 2, 1);
  for (auto* layer : {&layer1_, &layer2_, &layer3_, &layer4_}) x = (*layer)->forward(x);
  return fc_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
}

}  // namespace ampersand
