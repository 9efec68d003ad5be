// ResNet-18.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "amp/model_registry.h"

namespace ampersand {

// Four stages of two residual blocks with 64, 128, 256 and 512 channels, then the mean over the
// image and a linear layer. Images up to 64 pixels enter through a 3 x 3 convolution of stride 1,
// as is usual for CIFAR; larger ones through a 7 x 7 of stride 2 and max pooling. Parameters have
// torchvision's names and its initialisation.
//
// Source: He et al., Deep Residual Learning for Image Recognition (2015), table 1.
class ResNet18 : public torch::nn::Module {
 public:
  explicit ResNet18(const amp::ModelShape& shape);
  at::Tensor forward(const at::Tensor& images);

 private:
  bool small_;
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr};
  torch::nn::Sequential layer1_{nullptr}, layer2_{nullptr}, layer3_{nullptr}, layer4_{nullptr};
  torch::nn::Linear fc_{nullptr};
};

}  // namespace ampersand
