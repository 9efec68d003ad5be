// Models of images.
#include "tasks/images/image_models.h"

#include <torch/nn/functional/activation.h>
#include <torch/nn/functional/pooling.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <string>

#include "amp/error.h"
#include "amp/model_registry.h"
#include "tasks/images/resnet18.h"

namespace ampersand {
namespace {

namespace nn = torch::nn;
namespace F = torch::nn::functional;

// inputs - 2048 - 2048 - classes, with ReLU between: nearly all of its time is in matrix products.
class Mlp : public nn::Module {
 public:
  explicit Mlp(const amp::ModelShape& shape)
      : hidden1_(register_module("hidden1",
                                 nn::Linear(shape.channels * shape.height * shape.width, 2048))),
        hidden2_(register_module("hidden2", nn::Linear(2048, 2048))),
        output_(register_module("output", nn::Linear(2048, shape.classes))) {}

  at::Tensor forward(const at::Tensor& images) {
    auto x = F::relu(hidden1_(images.flatten(1)));
    x = F::relu(hidden2_(x));
    return output_(x);
  }

 private:
  nn::Linear hidden1_, hidden2_, output_;
};

nn::Conv2d convolution3x3(std::int64_t in, std::int64_t out) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).padding(1));
}

const amp::ModelShape& checked(const amp::ModelShape& shape) {
  if (shape.height >= 4 && shape.width >= 4) return shape;
  throw amp::InvalidArgument("model cnn: images must be at least 4 x 4 pixels, got " +
                             std::to_string(shape.height) + " x " + std::to_string(shape.width));
}

// Two 3x3 convolutions, each halved by max pooling, and two linear layers.
class Cnn : public nn::Module {
 public:
  explicit Cnn(const amp::ModelShape& shape)
      : conv1_(register_module("conv1", convolution3x3(checked(shape).channels, 32))),
        conv2_(register_module("conv2", convolution3x3(32, 64))),
        hidden_(register_module("hidden",
                                nn::Linear(64 * (shape.height / 4) * (shape.width / 4), 128))),
        output_(register_module("output", nn::Linear(128, shape.classes))) {}

  at::Tensor forward(const at::Tensor& images) {
    const auto halved = F::MaxPool2dFuncOptions(2);
    auto x = F::max_pool2d(F::relu(conv1_(images)), halved);
    x = F::max_pool2d(F::relu(conv2_(x)), halved);
    x = F::relu(hidden_(x.flatten(1)));
    return output_(x);
  }

 private:
  nn::Conv2d conv1_, conv2_;
  nn::Linear hidden_, output_;
};

}  // namespace

amp::RegisteredModel make_image_model(const std::string& name, const amp::ModelShape& shape) {
  if (name == "mlp") return amp::factory_of<Mlp>()(shape);
  if (name == "cnn") return amp::factory_of<Cnn>()(shape);
  return amp::factory_of<ResNet18>()(shape);
}

}  // namespace ampersand
