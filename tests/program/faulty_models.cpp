// Models in which something is wrong, each in its own way: for doctor and advise to find.
#include <ATen/ops/log.h>
#include <ATen/ops/relu.h>
#include <amp/model_registry.h>
#include <torch/nn/modules/linear.h>

namespace {

namespace nn = torch::nn;

// Two linear layers; the others differ from it in one thing.
class Sound : public nn::Module {
 public:
  explicit Sound(const amp::ModelShape& shape)
      : in_(register_module("in", nn::Linear(shape.channels * shape.height * shape.width, 16))),
        out_(register_module("out", nn::Linear(16, shape.classes))) {}
  at::Tensor forward(const at::Tensor& images) { return out_(hidden(images)); }

 protected:
  at::Tensor hidden(const at::Tensor& images) { return at::relu(in_(images.flatten(1))); }
  nn::Linear in_, out_;
};

class NoParameters : public nn::Module {
 public:
  at::Tensor forward(const at::Tensor& images) { return images.flatten(1).slice(1, 0, 4); }
};

class IntegerOutputs : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) { return Sound::forward(images).to(at::kLong); }
};

// Wants vectors of 3 numbers.
class OtherInputs : public nn::Module {
 public:
  OtherInputs() : in_(register_module("in", nn::Linear(3, 4))) {}
  at::Tensor forward(const at::Tensor& images) { return in_(images.flatten(1)); }

 private:
  nn::Linear in_;
};

// log(0) wherever relu gave 0.
class LogOfZero : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) { return out_(at::log(hidden(images))); }
};

// Its second layer is given numbers beyond 65504.
class Wide : public Sound {
 public:
  explicit Wide(const amp::ModelShape& shape) : Sound(shape) {
    in_->weight.set_data(in_->weight.detach() * 1e5);
    out_->weight.set_data(out_->weight.detach() * 1e-5);
  }
  at::Tensor forward(const at::Tensor& images) { return Sound::forward(images); }
};

// Another one in each training of a process.
class Moody : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    static double mood = 1;
    mood += 0.01;
    return Sound::forward(images) * mood;
  }
};

}  // namespace

AMP_REGISTER_MODEL("sound", Sound);
AMP_REGISTER_MODEL("no_parameters", NoParameters);
AMP_REGISTER_MODEL("integer_outputs", IntegerOutputs);
AMP_REGISTER_MODEL("other_inputs", OtherInputs);
AMP_REGISTER_MODEL("log_of_zero", LogOfZero);
AMP_REGISTER_MODEL("wide", Wide);
AMP_REGISTER_MODEL("moody", Moody);
