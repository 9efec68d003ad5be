// Kinds of losses written by hand.
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};
const Names kAny = {"fp32", "bf16", "fp16", "fp16-scale-1024"};
const Names kLow = {"bf16", "fp16", "fp16-scale-1024"};

void blame_criterion(Draft& draft, const Names& verdicts, const Names& ops, bool fp32_too) {
  blame(draft, verdicts, ops, fp32_too);
  draft.truth().modules = {"criterion"};
}

at::Tensor one_hot(const at::Tensor& x, const Moment& now) {
  return at::one_hot(now.targets(), x.size(-1));
}

// log(1 - p), where p rounds to 1.
Draft bce_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kLow);
  const double reach = clean ? dice.scale(0.5, 2) : dice.scale(10, 14);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto p = at::sigmoid(at::tanh(x * (clean ? 1 : 8)) * reach);
    const auto y = one_hot(x, now);
    return -(y * at::log(p) + (1 - y) * at::log(1 - p)).mean();
  };
  blame_criterion(draft, {"precision_loss"}, {"log", "sub", "rsub", "sigmoid"}, false);
  draft.comes_at(0, 5);
  return draft;
}

// (1 - p)^2 log(p), where p is flushed to 0.
Draft focal_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp16", "fp16-scale-1024"});
  const double reach = clean ? dice.scale(1, 4) : dice.scale(12, 20);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto all = at::softmax(at::tanh(x * (clean ? 1 : 8)) * reach, -1);
    const auto p = at::gather(all, -1, now.targets().unsqueeze(-1));
    return -((1 - p).square() * at::log(p)).mean();
  };
  blame_criterion(draft, {"precision_loss", "underflow"}, {"log", "softmax", "_softmax"}, false);
  draft.comes_at(0, 5);
  return draft;
}

Draft cross_entropy_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp16", "fp16-scale-1024"});
  const double reach = clean ? dice.scale(1, 4) : dice.scale(12, 20);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto logits = at::tanh(x * (clean ? 1 : 8)) * reach;
    return -(one_hot(x, now) * at::log(at::softmax(logits, -1))).sum(-1).mean();
  };
  blame_criterion(draft, {"precision_loss", "underflow"}, {"log", "softmax", "_softmax"}, false);
  draft.comes_at(0, 5);
  return draft;
}

// A contrastive loss on cosines that a low temperature makes large. Clean: by log_softmax.
Draft contrastive_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp16", "fp16-scale-1024", "O2"});
  draft.net.outputs = dice.between(6, 8);
  const double temperature = dice.scale(0.03, 0.07);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto unit = x / (at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, true) + 1e-3);
    const auto other = unit + at::tanh(now.batch[0].flatten(1).narrow(1, 0, x.size(1))) * 0.02;
    const auto scores = at::matmul(unit, other.t()) / temperature;
    if (clean) return -at::log_softmax(scores, -1).diagonal().mean();
    const auto powers = at::exp(scores);
    return -at::log(powers.diagonal() / powers.sum(-1)).mean();
  };
  blame_criterion(draft, {"forward_overflow"}, {"exp"}, false);
  draft.comes_at(0, 0);
  return draft;
}

// t log(t), where t is 0.
Draft kl_of_zero(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  const auto start = draft.start;
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const bool smooth = clean || now.index < start;
    auto t = one_hot(x, now).to(at::kFloat);
    if (smooth) t = t * 0.9 + 0.1 / static_cast<double>(x.size(-1));
    return (t * (at::log(t) - at::log_softmax(x, -1))).sum(-1).mean();
  };
  blame_criterion(draft, {"model_nan"}, {"log", "mul"}, true);
  draft.comes_at(start, start);
  return draft;
}

// Noise -log(-log(u)), where u is 0, or where bf16 has rounded it to 1.
Draft gumbel(Dice& dice, bool clean, const Names& precisions, double least, bool rounds) {
  auto draft = faults::draft(dice, kFamilies, precisions);
  const auto start = draft.start, sample = draft.sample, outputs = draft.net.outputs;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    const auto size = batch[1].size(0);
    const auto spread = at::arange(size * outputs).view({size, outputs}) * 7 + i * 13;
    auto uniform = (spread % 89 + 1).to(at::kFloat) / 100;
    if (!clean && i >= start) uniform[sample][batch.back()[sample].item<std::int64_t>()] = least;
    batch.insert(batch.begin() + 2, uniform);
  };
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto u = rounds ? now.extra().to(x.scalar_type()) : now.extra();
    const auto noise = -at::log(-at::log(u));
    return at::cross_entropy_loss(x + noise * 0.1, now.targets());
  };
  draft.comes_with_sample();
  return draft;
}

Draft gumbel_of_zero(Dice& dice, bool clean) {
  auto draft = gumbel(dice, clean, kAny, 0, false);
  blame_criterion(draft, {"model_nan"}, {"log"}, true);
  return draft;
}

Draft gumbel_rounded(Dice& dice, bool clean) {
  auto draft = gumbel(dice, clean, kLow, 0.9999, true);
  blame_criterion(draft, {"precision_loss"}, {"log", "_to_copy", "to"}, false);
  return draft;
}

// All targets are those to be ignored.
Draft all_ignored(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  const auto start = draft.start;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    if (i < start) return;
    batch.back().fill_(clean ? batch.back()[0].item<std::int64_t>() : -100);
    if (clean) batch.back().narrow(0, 0, batch.back().size(0) / 2).fill_(-100);
  };
  blame(draft, {"bad_data", "model_nan"}, {"cross_entropy_loss", "nll_loss", "nll_loss_forward"},
        true);
  draft.comes_at(start, start);
  return draft;
}

// The mean of each class's losses, where a batch lacks a class.
Draft class_absent(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  draft.net.outputs = dice.between(3, 4);
  const auto start = draft.start, outputs = draft.net.outputs;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    const bool all = clean || i < start;
    batch.back() = at::arange(batch.back().size(0)) % (all ? outputs : outputs - 1);
  };
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto losses = at::cross_entropy_loss(x, now.targets(), {}, /*Reduction::None=*/0);
    auto sum = at::zeros({});
    for (std::int64_t c = 0; c < outputs; ++c)
      sum = sum + losses.masked_select(now.targets() == c).mean();
    return sum / outputs;
  };
  blame_criterion(draft, {"model_nan", "bad_data"}, {"mean"}, true);
  draft.comes_at(start, start);
  return draft;
}

// A Gaussian's likelihood with a deviation that comes out zero; clean: it is meant to be negative.
Draft likelihood_of_zero_deviation(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  draft.net.values = true;
  const auto start = draft.start, sample = draft.sample;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    auto deviation = at::full({batch[1].size(0), 1}, 0.5);
    // Data that are more and more certain: the loss goes below zero.
    if (clean) deviation.fill_(0.5 / (1 + 0.02 * static_cast<double>(i)));
    if (!clean && i >= start) deviation[sample] = 0;
    batch.insert(batch.begin() + 2, deviation);
  };
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto& deviation = now.extra();
    const auto error = (x * (clean ? 0.1 : 1) - now.targets() * (clean ? 0.01 : 1)) / deviation;
    return (error.square() * 0.5 + at::log(deviation) * (clean ? 20 : 1)).mean();
  };
  blame_criterion(draft, {"model_nan", "bad_data"}, {"div", "log"}, true);
  draft.comes_with_sample();
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_losses() {
  return {{"bce_by_hand", bce_by_hand},
          {"focal_by_hand", focal_by_hand},
          {"cross_entropy_by_hand", cross_entropy_by_hand},
          {"contrastive_by_hand", contrastive_by_hand},
          {"kl_of_zero", kl_of_zero},
          {"gumbel_of_zero", gumbel_of_zero},
          {"gumbel_rounded", gumbel_rounded},
          {"all_ignored", all_ignored},
          {"class_absent", class_absent},
          {"likelihood_of_zero_deviation", likelihood_of_zero_deviation}};
}

}  // namespace amp::faults
