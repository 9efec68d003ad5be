// A small training with a middle of a test's own, examined.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include "amp/amp.h"

namespace amp::tests {

namespace nn = torch::nn;
// in, a middle of the test's own, out.
class NetImpl : public nn::Module {
 public:
  using Middle = std::function<at::Tensor(NetImpl& net, const at::Tensor& x, std::int64_t step)>;
  explicit NetImpl(Middle middle = {}) : middle_(std::move(middle)) {
    in = register_module("in", nn::Linear(6, 16));
    out = register_module("out", nn::Linear(16, 4));
  }
  at::Tensor forward(const at::Tensor& x, std::int64_t step) {
    auto y = at::tanh(in(x));
    if (middle_) y = middle_(*this, y, step);
    return out(y);
  }
  nn::Linear in{nullptr}, out{nullptr};

 private:
  Middle middle_;
};
TORCH_MODULE(Net);

struct Setting {
  NetImpl::Middle middle = {};
  Recipe recipe = Recipe::fp16();
  double learning_rate = 0.05;
  std::int64_t steps = 40;
  std::function<at::Tensor(const at::Tensor& logits, const at::Tensor& targets)> loss = {};
  std::function<void(at::Tensor& inputs, std::int64_t step)> spoil = {};
  std::function<void(Net& net)> prepare = {};
  std::function<bool()> is_cancelled = {};
};

// The step is a part of the batch, so that a replay knows it.
inline Examination examined(const Setting& setting) {
  at::manual_seed(5);
  Net net(setting.middle);
  if (setting.prepare) setting.prepare(net);
  torch::optim::SGD optimizer(net->parameters(), setting.learning_rate);
  TrainStep train_step(net, optimizer, setting.recipe);
  Doctor doctor(net, train_step, {.experiment = {.is_cancelled = setting.is_cancelled}});
  for (std::int64_t step = 1; step <= setting.steps && !doctor.is_settled(); ++step) {
    at::manual_seed(static_cast<std::uint64_t>(step % 8));
    auto inputs = at::randn({16, 6});
    const auto targets = inputs.slice(1, 0, 4).argmax(1);
    if (setting.spoil) setting.spoil(inputs, step);
    try {
      doctor.step({inputs, targets}, [net, step, &setting](at::TensorList all) mutable {
        const auto logits = net->forward(all[0], step);
        return setting.loss ? setting.loss(logits, all[1]) : at::cross_entropy_loss(logits, all[1]);
      });
    } catch (const std::exception&) {
      break;
    }
  }
  return doctor.examination();
}

inline bool tried_and_cured(const Examination& examination) {
  return !examination.remedies.empty() && examination.remedies.front().cures;
}

}  // namespace amp::tests
