// ResNet-18, for small and for large images.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <torch/nn/module.h>

#include "amp/model_registry.h"

namespace ampersand {

// Four pairs of basic blocks with 64, 128, 256 and 512 channels behind a stem, then the average
// over all positions and one linear layer. Images of up to 64 pixels a side get the stem of the
// paper's CIFAR networks, a 3x3 convolution of stride 1; larger ones a 7x7 convolution of stride 2
// and a max pooling of stride 2. Parameters and buffers have torchvision's names, so weights can be
// exchanged.
//
// Source: He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition", figure 2,
// table 1 and section 4.2; torchvision.models.resnet18 for names and first weights.
class ResNet18 : public torch::nn::Module {
 public:
  explicit ResNet18(const amp::ModelShape& shape);

  // images: [batch, channels, height, width] in either memory format, which the convolutions keep.
  at::Tensor forward(const at::Tensor& images);

 private:
  bool large_;
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Sequential layer1_, layer2_, layer3_, layer4_;
  torch::nn::Linear fc_;
};

}  // namespace ampersand
