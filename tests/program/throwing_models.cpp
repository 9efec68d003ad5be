// Models that throw, each in its own way and place.
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <amp/error.h>
#include <amp/model_registry.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/linear.h>

#include <stdexcept>

namespace {

namespace nn = torch::nn;

// Two linear layers; the others throw on the way.
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

// The mask of many a model: -1e10 is no number of fp16.
class Attention : public nn::Module {
 public:
  Attention() : key_(register_module("key", nn::Linear(16, 16))) {}
  at::Tensor forward(const at::Tensor& x) {
    const auto scores = at::matmul(key_(x), x.t());
    return at::matmul(at::softmax(scores.masked_fill(scores < 0, -1e10), -1), x);
  }

 private:
  nn::Linear key_;
};

class Masked : public Sound {
 public:
  explicit Masked(const amp::ModelShape& shape)
      : Sound(shape), attention_(register_module("attention", std::make_shared<Attention>())) {}
  at::Tensor forward(const at::Tensor& images) { return out_(attention_->forward(hidden(images))); }

 private:
  std::shared_ptr<Attention> attention_;
};

// The same in every precision.
class AlwaysNarrow : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    const auto x = hidden(images);
    return out_(x + x.to(at::kHalf).masked_fill(x > 0, -1e10).to(x.scalar_type()) * 0);
  }
};

// In the third forward pass of a training, and never again.
class Third : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    if (is_training() && ++calls_ == 3) throw std::runtime_error("the sensor is gone");
    return Sound::forward(images);
  }

 private:
  int calls_ = 0;
};

class Number : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    if (is_training()) throw 42;
    return Sound::forward(images);
  }
};

class OfAmp : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    if (is_training()) throw amp::InvalidArgument("mine: the moon is not full");
    return Sound::forward(images);
  }
};

class Checked : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    TORCH_CHECK(false, "too dark");
    return Sound::forward(images);
  }
};

class Misfit : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    const auto x = hidden(images);
    return is_training() ? out_(at::matmul(x, at::ones({3, 16}))) : out_(x);
  }
};

class InLoss : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) { return Sound::forward(images); }
  at::Tensor loss(const at::Tensor&, const at::Tensor&) { throw std::logic_error("no loss today"); }
};

struct Lost : torch::autograd::Function<Lost> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x * 1;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list&) {
    throw amp::StateError("lost on the way back");
  }
};

class InBackward : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) { return out_(Lost::apply(hidden(images))); }
};

class InEvaluation : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    if (!is_training() && images.size(0) > 2) throw std::out_of_range("not so many");
    return Sound::forward(images);
  }
};

class Unmade : public Sound {
 public:
  explicit Unmade(const amp::ModelShape& shape) : Sound(shape) {
    throw amp::InvalidArgument("the weights are on the other disk");
  }
};

class Hungry : public Sound {
 public:
  using Sound::Sound;
  at::Tensor forward(const at::Tensor& images) {
    if (is_training()) static_cast<void>(at::ones({std::int64_t{1} << 45}));
    return Sound::forward(images);
  }
};

}  // namespace

AMP_REGISTER_MODEL("masked", Masked);
AMP_REGISTER_MODEL("always_narrow", AlwaysNarrow);
AMP_REGISTER_MODEL("third", Third);
AMP_REGISTER_MODEL("number", Number);
AMP_REGISTER_MODEL("of_amp", OfAmp);
AMP_REGISTER_MODEL("checked", Checked);
AMP_REGISTER_MODEL("misfit", Misfit);
AMP_REGISTER_MODEL("in_loss", InLoss);
AMP_REGISTER_MODEL("in_backward", InBackward);
AMP_REGISTER_MODEL("in_evaluation", InEvaluation);
AMP_REGISTER_MODEL("unmade", Unmade);
AMP_REGISTER_MODEL("hungry", Hungry);
