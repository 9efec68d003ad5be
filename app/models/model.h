// What a model of the program is, and the built-in ones by name.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ampersand {

// What the data asks of a classifier of images.
struct ImageShape {
  std::int64_t channels = 1, height = 28, width = 28;
  std::int64_t classes = 10;
};

// A model that maps images [batch, channels, height, width] to logits [batch, classes].
class Classifier : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& images) = 0;
};

std::vector<std::string> model_names();

// Makes the named model with fresh weights from LibTorch's generator.
// Throws amp::InvalidArgument for an unknown name or a shape the model cannot take.
std::shared_ptr<Classifier> make_model(const std::string& name, const ImageShape& shape);

}  // namespace ampersand
