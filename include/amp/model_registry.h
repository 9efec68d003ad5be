// The registry of models by name: what a plug-in of the program `ampersand` fills in.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "amp/export.h"

namespace torch::nn {
class Module;
}

namespace amp {

// What the data asks of a model. A model of images takes [batch, channels, height, width] and
// returns logits [batch, classes]. A model of text (vocabulary is not 0) takes tokens [batch,
// time], int64, 0 <= token < vocabulary, time <= context, and returns logits [batch, time,
// vocabulary] of the token that follows.
struct ModelShape {
  std::int64_t channels = 1;
  std::int64_t height = 28;
  std::int64_t width = 28;
  std::int64_t classes = 10;
  std::int64_t vocabulary = 0;
  std::int64_t context = 0;

  bool is_text() const { return vocabulary > 0; }
};

struct RegisteredModel {
  std::shared_ptr<torch::nn::Module> module;  // owns the parameters
  std::function<at::Tensor(const at::Tensor& inputs)> forward;
  // Takes outputs and targets (int64; [batch] for images, [batch, time] for text) and returns one
  // floating-point element. Empty: the mean cross entropy.
  std::function<at::Tensor(const at::Tensor& outputs, const at::Tensor& targets)> loss;
};

using ModelFactory = std::function<RegisteredModel(const ModelShape& shape)>;

// Puts a model into the registry of the process. Throws InvalidArgument for an empty name and for
// one that is taken. Returns true, so that a static can call it. This and the next two functions
// are thread-safe.
AMP_API bool register_model(const std::string& name, ModelFactory factory);

// In the order of their registration.
AMP_API std::vector<std::string> registered_models();

// A fresh model; its weights come from LibTorch's generator. Throws InvalidArgument for an unknown
// name (with a near one) and whatever the factory throws.
AMP_API RegisteredModel make_registered_model(const std::string& name, const ModelShape& shape);

// The factory of a class of modules. The class has `at::Tensor forward(at::Tensor)`; it may have a
// constructor that takes a ModelShape, and `at::Tensor loss(at::Tensor outputs, at::Tensor
// targets)`.
template <typename Module>
ModelFactory factory_of() {
  return [](const ModelShape& shape) {
    std::shared_ptr<Module> module;
    if constexpr (std::is_constructible_v<Module, const ModelShape&>) {
      module = std::make_shared<Module>(shape);
    } else {
      module = std::make_shared<Module>();
    }
    RegisteredModel model{module, [=](const at::Tensor& x) { return module->forward(x); }, {}};
    if constexpr (requires(at::Tensor x) { module->loss(x, x); }) {
      model.loss = [=](const at::Tensor& outputs, const at::Tensor& targets) {
        return module->loss(outputs, targets);
      };
    }
    return model;
  };
}

// register_model for static initialisers. They must not throw, because an exception out of dlopen
// is undefined; registration_error() returns a refusal instead.
AMP_API bool register_model_statically(const std::string& name, ModelFactory factory) noexcept;

// Why the last static registration was refused; empty if none was.
AMP_API std::string registration_error();

#define AMP_JOIN_AGAIN(a, b) a##b
#define AMP_JOIN(a, b) AMP_JOIN_AGAIN(a, b)

// At file scope: AMP_REGISTER_MODEL("mine", MyModel);
#define AMP_REGISTER_MODEL(name, ...)                                               \
  [[maybe_unused]] static const bool AMP_JOIN(amp_registered_model_, __COUNTER__) = \
      ::amp::register_model_statically(name, ::amp::factory_of<__VA_ARGS__>())

}  // namespace amp
