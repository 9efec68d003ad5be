// The small model.
#include "tools/faults/net.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>

#include <cmath>

#include "amp/module_scope.h"

namespace amp::faults {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kSide = 6;

at::Tensor activated(const at::Tensor& x, const std::string& name) {
  if (name == "relu") return at::relu(x);
  if (name == "gelu") return at::gelu(x);
  if (name == "tanh") return at::tanh(x);
  if (name == "sigmoid") return at::sigmoid(x);
  return x;
}

std::shared_ptr<Part> furnished(const Blueprint& plan) {
  auto part = std::make_shared<Part>(plan.compute);
  if (plan.furnish) plan.furnish(*part);
  return part;
}

nn::Conv2d convolution(std::int64_t from, std::int64_t to) {
  return nn::Conv2d(nn::Conv2dOptions(from, to, 3).padding(1));
}

}  // namespace

at::Tensor Part::forward(const at::Tensor& x, const Moment& now) {
  const ModuleScope scope(*this);
  return compute_(*this, x, now);
}

at::Tensor Part::tensor(const std::string& name) const {
  for (const auto& tensors : {named_parameters(), named_buffers()})
    if (const auto* found = tensors.find(name)) return *found;
  return {};
}

at::Tensor Part::linear(const std::string& name, const at::Tensor& x) const {
  return named_children()[name]->as<nn::Linear>()->forward(x);
}

Block::Block(const Blueprint& plan, bool has_part) : plan_(plan) {
  const auto width = plan.width;
  if (plan.norm && plan.family != "cnn")
    norm_ = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({width})));
  if (plan.family == "cnn") {
    conv_ = register_module("layer", convolution(width, width));
  } else if (plan.family == "attention") {
    q_ = register_module("q", nn::Linear(width, width));
    k_ = register_module("k", nn::Linear(width, width));
    v_ = register_module("v", nn::Linear(width, width));
    if (has_part && plan.attend)
      attend_ = register_module("attend", std::make_shared<Part>(nullptr));
    layer_ = register_module("layer", nn::Linear(width, width));
  } else {
    layer_ = register_module("layer", nn::Linear(width, width));
    if (plan.family == "recurrent")
      recurrent_ = register_module("recurrent", nn::Linear(width, width));
  }
  if (has_part && plan.compute) part_ = register_module(plan.part, furnished(plan));
}

at::Tensor Block::attended(const at::Tensor& x, const Moment& now) {
  const auto q = q_(x), k = k_(x), v = v_(x);
  if (attend_) {
    const ModuleScope scope(*attend_);
    return plan_.attend(q, k, v, now);
  }
  const double scale = 1 / std::sqrt(static_cast<double>(plan_.width));
  return at::matmul(at::softmax(at::matmul(q, k.transpose(-1, -2)) * scale, -1), v);
}

// h_t = activation(W x_t + U h_(t-1)), over dimension 1.
at::Tensor Block::recurred(const at::Tensor& x) {
  std::vector<at::Tensor> hidden;
  const auto inputs = layer_(x);
  for (std::int64_t t = 0; t < x.size(1); ++t) {
    auto h = inputs.select(1, t);
    if (t > 0) h = h + recurrent_(hidden.back());
    hidden.push_back(activated(h, plan_.activation));
  }
  return at::stack(hidden, 1);
}

at::Tensor Block::computed(const at::Tensor& x, const Moment& now) {
  if (plan_.family == "cnn") return activated(conv_(x), plan_.activation);
  if (plan_.family == "recurrent") return recurred(x);
  if (plan_.family == "attention") return activated(layer_(attended(x, now)), plan_.activation);
  return activated(layer_(x), plan_.activation);
}

at::Tensor Block::forward(const at::Tensor& x, const Moment& now) {
  const ModuleScope scope(*this);
  auto y = computed(norm_ ? norm_(x) : x, now);
  if (part_) y = part_->forward(y, now);
  return plan_.residual ? x + y : y;
}

Net::Net(Blueprint plan) : plan_(std::move(plan)) {
  at::manual_seed(plan_.seed);
  const auto entries = plan_.family == "cnn" ? kSide * kSide : plan_.features;
  teacher_ = at::randn({entries, plan_.outputs});
  if (plan_.prepare) entry_ = register_module(plan_.entry, std::make_shared<Part>(plan_.prepare));
  if (plan_.family == "cnn") {
    conv_ = register_module("in", convolution(1, plan_.width));
  } else {
    linear_ = register_module("in", nn::Linear(plan_.features, plan_.width));
  }
  for (std::int64_t i = 0; i < plan_.blocks; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i),
                                      std::make_shared<Block>(plan_, i == plan_.at)));
  if (plan_.final_norm)
    norm_ = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({plan_.width})));
  head_ = register_module("head", nn::Linear(plan_.width, plan_.outputs));
  if (plan_.criterion)
    criterion_ = register_module("criterion", std::make_shared<Part>(plan_.criterion));
  if (criterion_ && !plan_.compute && plan_.furnish) plan_.furnish(*criterion_);
  const at::NoGradGuard no_grad;
  if (plan_.init) plan_.init(*this);
}

// The targets are those of a linear teacher, so that there is something to learn.
std::vector<at::Tensor> Net::batch(std::int64_t i) const {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(plan_.seed * 1'000'003 +
                                                                  static_cast<std::uint64_t>(i));
  const bool sequence = plan_.family == "attention" || plan_.family == "recurrent";
  const auto x = plan_.family == "cnn" ? at::randn({plan_.batch, 1, kSide, kSide}, generator)
                 : sequence ? at::randn({plan_.batch, plan_.length, plan_.features}, generator)
                            : at::randn({plan_.batch, plan_.features}, generator);
  const auto seen = plan_.family == "recurrent" ? x.select(1, plan_.length - 1)
                    : sequence                  ? x.mean(1) * 2
                                                : x.flatten(1);
  const auto answers = at::matmul(seen, teacher_);
  std::vector<at::Tensor> batch = {x, at::full({plan_.batch}, i, at::kLong),
                                   plan_.values ? at::tanh(answers * 0.3) : answers.argmax(1)};
  if (plan_.data) plan_.data(batch, i);
  return batch;
}

at::Tensor Net::outputs(const Moment& now) {
  auto x = now.batch.front();
  if (entry_) x = entry_->forward(x, now);
  x = conv_ ? conv_(x) : linear_(x);
  for (const auto& block : blocks_) x = block->forward(x, now);
  if (plan_.family == "cnn") x = x.mean({2, 3});
  if (plan_.family == "attention") x = x.mean(1);
  if (plan_.family == "recurrent") x = x.select(1, x.size(1) - 1);
  return head_(norm_ ? norm_(x) : x);
}

at::Tensor Net::loss(const std::vector<at::Tensor>& batch) {
  const Moment now = {batch, batch[1][0].item<std::int64_t>(), is_training()};
  const auto y = outputs(now);
  if (criterion_) return criterion_->forward(y, now);
  return plan_.values ? at::mse_loss(y, batch.back()) : at::cross_entropy_loss(y, batch.back());
}

}  // namespace amp::faults
