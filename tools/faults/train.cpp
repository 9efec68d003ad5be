// A small training with a fault in it.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/acos.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sqrt.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <limits>

#include "amp/optim.h"
#include "amp/train_step.h"
#include "tools/faults/faults.h"

namespace amp::faults {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kBatch = 16, kClasses = 5, kSide = 6;

at::Tensor troubled(const at::Tensor& y, Trouble trouble) {
  switch (trouble) {
    case Trouble::none:
    case Trouble::wide_weights:
      return y;
    case Trouble::product:
      return y * 1e6;
    case Trouble::exponential:
      return at::exp(at::relu(y) + 15);
    case Trouble::scores: {
      const auto rows = y.flatten(1) * 2000;
      return y + at::matmul(rows, rows.t()).sum() * 1e-9;
    }
    case Trouble::log_of_zero:
      return at::log(at::relu(y));
    case Trouble::zero_by_zero:
      return at::relu(y) / at::relu(y);
    case Trouble::arc_cosine:
      return at::acos(y * 0 + 2);
    case Trouble::root_at_zero:
      return at::sqrt(y * 0);
    case Trouble::steep_gradient:
      return (y * 1e-5) * 1e5;
  }
  return y;
}

// A layer, perhaps trouble, and relu.
class Block : public nn::Module {
 public:
  Block(const std::string& family, std::int64_t width) : family_(family) {
    if (family == "cnn") {
      conv_ = register_module("layer", nn::Conv2d(nn::Conv2dOptions(width, width, 3).padding(1)));
    } else {
      linear_ = register_module("layer", nn::Linear(width, width));
    }
  }
  at::Tensor forward(const at::Tensor& x, Trouble trouble) {
    const ModuleScope scope(*this);
    auto y = family_ == "cnn" ? conv_(x) : linear_(x);
    if (family_ == "attention") {
      const auto scores = at::softmax(at::matmul(y, y.transpose(-1, -2)) * 0.1, -1);
      y = at::matmul(scores, y);
    }
    // relu would hide log's -inf and its derivative.
    if (trouble != Trouble::none && trouble != Trouble::wide_weights)
      return troubled(y, trouble) + 0.1 * x;
    return at::relu(y) + 0.1 * x;
  }
  at::Tensor& weight() { return family_ == "cnn" ? conv_->weight : linear_->weight; }

 private:
  std::string family_;
  nn::Conv2d conv_{nullptr};
  nn::Linear linear_{nullptr};
};

class Net : public nn::Module {
 public:
  explicit Net(const Fault& fault) : fault_(fault) {
    if (fault.family == "cnn") {
      conv_ = register_module("in", nn::Conv2d(nn::Conv2dOptions(1, fault.width, 3).padding(1)));
    } else {
      linear_ = register_module(
          "in", nn::Linear(fault.family == "mlp" ? kSide * kSide : kSide, fault.width));
    }
    for (std::int64_t i = 0; i < fault.blocks; ++i)
      blocks_.push_back(register_module("block" + std::to_string(i),
                                        std::make_shared<Block>(fault.family, fault.width)));
    out_ = register_module("out", nn::Linear(fault.width, kClasses));
    if (fault.trouble == Trouble::wide_weights) {
      const at::NoGradGuard no_grad;
      blocks_[static_cast<std::size_t>(fault.at)]->weight().mul_(1e6);
    }
  }
  at::Tensor forward(const at::Tensor& images, std::int64_t step) {
    auto x = fault_.family == "cnn"         ? conv_(images.unsqueeze(1))
             : fault_.family == "attention" ? linear_(images)
                                            : linear_(images.flatten(1));
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const bool now = static_cast<std::int64_t>(i) == fault_.at && step >= fault_.step;
      x = blocks_[i]->forward(x, now ? fault_.trouble : Trouble::none);
    }
    if (fault_.family == "cnn") x = x.mean({2, 3});
    if (fault_.family == "attention") x = x.mean(1);
    return out_(x);
  }

 private:
  const Fault& fault_;
  nn::Conv2d conv_{nullptr};
  nn::Linear linear_{nullptr}, out_{nullptr};
  std::vector<std::shared_ptr<Block>> blocks_;
};

struct Data {
  at::Tensor images, classes;
};

Data data_of(const Fault& fault, std::int64_t step) {
  const auto generator =
      at::make_generator<at::CPUGeneratorImpl>(fault.seed + static_cast<std::uint64_t>(step % 4));
  Data data = {at::randn({kBatch, kSide, kSide}, generator),
               at::randint(kClasses, {kBatch}, generator)};
  if (step >= fault.step && fault.bad_input)
    data.images[3][2][1] = fault.seed % 2 == 0 ? std::numeric_limits<double>::infinity()
                                               : std::numeric_limits<double>::quiet_NaN();
  if (step >= fault.step && fault.bad_target) data.classes[5] = kClasses + 2;
  return data;
}

bool is_settled(const Inspector& inspector, bool dynamic) {
  const auto& steps = inspector.evidence().steps;
  if (steps.empty() || !steps.back().non_finite.has_value()) return false;
  const auto verdict = inspector.diagnosis().verdict;
  return verdict != Verdict::clean && !(verdict == Verdict::scale_overflow && dynamic);
}

}  // namespace

Diagnosis diagnose_training(const Fault& fault) {
  at::manual_seed(fault.seed);
  Net net(fault);
  optim::SGD optimizer(net.parameters(), optim::SGDOptions{.lr = fault.learning_rate});
  TrainStep train_step(net, optimizer, fault.recipe);
  Inspector inspector(net);
  const bool dynamic = fault.recipe.loss_scaling == LossScaling::dynamic;
  inspector.set_dynamic_scaling(dynamic);
  for (std::int64_t step = 1; step <= fault.steps; ++step) {
    const auto data = data_of(fault, step);
    inspector.begin_step(step, train_step.scaler().get_scale());
    try {
      inspector.end_step(train_step([&] {
        return at::cross_entropy_loss(net.forward(data.images, step), data.classes) *
               fault.loss_factor;
      }));
    } catch (const std::exception& error) {
      inspector.fail_step(error.what());
      break;
    }
    if (is_settled(inspector, dynamic)) break;
  }
  return inspector.diagnosis();
}

}  // namespace amp::faults
