// Models of which it is known what each precision does to them: for advise, which has to find out. In
// fp32 they all learn; units are powers of two, so that there they change no number.
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/full.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>
#include <amp/model_registry.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace {

namespace nn = torch::nn;

std::int64_t pixels(const amp::ModelShape& shape) {
  return shape.channels * shape.height * shape.width;
}

class TwoLayers : public nn::Module {
 protected:
  TwoLayers(const amp::ModelShape& shape, std::int64_t hidden)
      : in_(register_module("in", nn::Linear(pixels(shape), hidden))),
        out_(register_module("out", nn::Linear(hidden, shape.classes))) {}
  nn::Linear in_, out_;
};

// Safe in bf16 and in fp16, and in fp8, too.
class Safe : public TwoLayers {
 public:
  explicit Safe(const amp::ModelShape& shape) : TwoLayers(shape, 128) {}
  at::Tensor forward(const at::Tensor& images) { return out_(at::relu(in_(images.flatten(1)))); }
};

// Activations pass 65504 on the way: infinite in fp16, unless that product by a constant stays in fp32.
class Wide : public TwoLayers {
 public:
  explicit Wide(const amp::ModelShape& shape) : TwoLayers(shape, 128) {}
  at::Tensor forward(const at::Tensor& images) {
    const auto large = at::relu(in_(images.flatten(1))) * 0x1p20;
    return out_(large * 0x1p-20);
  }
};

// Gradients of the first layer pass through numbers below 2^-24: zero in fp16 without loss scaling. Eight
// hidden units, so that a first layer that stays as it was shows.
class Faint : public TwoLayers {
 public:
  explicit Faint(const amp::ModelShape& shape) : TwoLayers(shape, 8) {}
  at::Tensor forward(const at::Tensor& images) {
    const auto hidden = at::tanh(in_(images.flatten(1))) * 0x1p15;  // the gradient is small here
    return out_(hidden * 0x1p-15);
  }
};

// What a hidden group says is a small difference on a large sum, which bf16's 8 bits have no room for.
class Cancelling : public nn::Module {
 public:
  explicit Cancelling(const amp::ModelShape& shape)
      : in_(register_module("in", nn::Linear(pixels(shape), kGroups * kSize))),
        out_(register_module("out", nn::Linear(kGroups, shape.classes))) {}
  at::Tensor forward(const at::Tensor& images) {
    const auto hidden = at::relu(in_(images.flatten(1))).reshape({-1, kGroups, kSize});
    const auto sum = (hidden * 0.125 + 8).sum(2);
    return out_(sum - 8.0 * kSize);
  }

 private:
  static constexpr std::int64_t kGroups = 16, kSize = 256;
  nn::Linear in_, out_;
};

// A depthwise convolution whose channels have very different ranges, as those of mobile networks do: one
// that is always 4, and the others, which know the image, 2^22 times smaller. One scale for the whole
// tensor leaves fp8 no bits for these.
class Depthwise : public nn::Module {
 public:
  explicit Depthwise(const amp::ModelShape& shape)
      : in_(register_module(
            "in",
            nn::Conv2d(nn::Conv2dOptions(shape.channels, kChannels, 3).stride(2).padding(1)))),
        depthwise_(
            register_module("depthwise", nn::Conv2d(nn::Conv2dOptions(kChannels, kChannels, 3)
                                                        .padding(1)
                                                        .groups(kChannels)
                                                        .bias(false)))),
        out_(register_module("out", nn::Linear(16 * (kChannels - 1), shape.classes))) {
    units_ = at::full({1, kChannels, 1, 1}, 0x1p-20);
    offset_ = at::zeros({1, kChannels, 1, 1});
    offset_.select(1, 0).fill_(4);
    register_buffer("units", units_);
    register_buffer("offset", offset_);
  }
  at::Tensor forward(const at::Tensor& images) {
    const auto x = depthwise_(at::relu(in_(images)) * units_ * (offset_ == 0) + offset_) / units_;
    return out_(at::adaptive_avg_pool2d(at::relu(x.slice(1, 1)), {4, 4}).flatten(1));
  }

 private:
  static constexpr std::int64_t kChannels = 16;
  nn::Conv2d in_, depthwise_;
  nn::Linear out_;
  at::Tensor units_, offset_;
};

}  // namespace

AMP_REGISTER_MODEL("safe", Safe);
AMP_REGISTER_MODEL("wide", Wide);
AMP_REGISTER_MODEL("faint", Faint);
AMP_REGISTER_MODEL("cancelling", Cancelling);
AMP_REGISTER_MODEL("depthwise", Depthwise);
