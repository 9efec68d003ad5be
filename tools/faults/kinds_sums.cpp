// Kinds of sums, counts and products that fp16 cannot hold.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/cumprod.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};
const Names kFp16 = {"fp16", "fp16-scale-1024"};

void blame_part(Draft& draft, const std::string& part, const Names& ops) {
  blame(draft, {"forward_overflow"}, ops, false);
  draft.net.part = part;
  draft.truth().modules = {draft.place(part)};
  draft.comes_at(0, 0);
}

// Each square fits.
Draft sum_of_squares(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double gain = dice.scale(40, 95), gentle = dice.scale(3, 7);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto sum = ((at::tanh(x) + 1.5) * (clean ? gentle : gain)).square().sum();
    return at::cross_entropy_loss(x, now.targets()) + sum * 1e-7;
  };
  blame(draft, {"forward_overflow"}, {"sum"}, false);
  if (!clean) draft.net.batch = std::max<std::int64_t>(draft.net.batch, 16);
  if (draft.sample >= draft.net.batch) draft.sample = 0;
  draft.truth().modules = {"criterion"};
  draft.comes_at(0, 0);
  return draft;
}

Draft mean_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double gain = clean ? dice.scale(10, 300) : dice.scale(12000, 20000);
  blame_part(draft, "mean_by_hand", {"sum"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    const auto y = (at::tanh(x.flatten(1)) + 1.5) * gain;
    const auto mean = clean ? y.mean() : y.sum() / static_cast<double>(y.numel());
    return x + mean / gain;
  };
  return draft;
}

// Inf as a divisor gives zeros, and nothing else is seen of it.
Draft infinite_divisor(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double gain = clean ? dice.scale(1, 10) : dice.scale(12000, 20000);
  blame_part(draft, "share", {"sum"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    const auto y = (at::tanh(x) + 1.5) * gain;
    return clean ? y / y.mean() : y / y.sum() * static_cast<double>(x.numel());
  };
  draft.net.residual = false;
  draft.net.norm = true;
  return draft;
}

// How many there are, in fp16.
Draft count_of_tokens(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const auto tokens = clean ? dice.between(20, 200) : dice.between(9000, 12000);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto ones = at::full({x.size(0), tokens}, 1, x.options());
    const auto count = ones.sum();
    const auto losses = at::cross_entropy_loss(x, now.targets(), {}, /*Reduction::None=*/0);
    return losses.sum() * static_cast<double>(tokens) / count;
  };
  blame(draft, {"forward_overflow"}, {"sum"}, false);
  draft.truth().modules = {"criterion"};
  draft.comes_at(0, 0);
  return draft;
}

Draft loss_summed(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  draft.net.values = true;
  draft.net.batch = 24;
  const double gain = clean ? dice.scale(1, 10) : dice.scale(150, 220);
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t) { batch.back().mul_(gain); };
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto losses = (x - now.targets().to(x.scalar_type())).square();
    return clean ? losses.mean() : losses.sum();
  };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = dice.scale(0.001, 0.005);
  blame(draft, {"forward_overflow"}, {"sum", "square", "pow"}, false);
  draft.truth().modules = {"criterion"};
  draft.comes_at(0, 0);
  return draft;
}

Draft cumulative_product(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention", "recurrent"}, kFp16);
  draft.net.width = dice.one_of<std::int64_t>({16, 24, 32});
  const double factor = clean ? dice.scale(0.9, 1.1) : dice.scale(3, 4);
  blame_part(draft, "survival", {"cumprod"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    return at::log(at::cumprod(at::tanh(x) * 0.1 + factor, -1)) * 0.1;
  };
  return draft;
}

Draft cumulative_sum(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention", "recurrent"}, kFp16);
  draft.net.width = dice.one_of<std::int64_t>({16, 24, 32});
  const double gain = clean ? dice.scale(1, 100) : dice.scale(9000, 20000);
  blame_part(draft, "progress", {"cumsum"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    return at::cumsum((at::tanh(x) + 1.5) * gain, -1) / (gain * static_cast<double>(x.size(-1)));
  };
  return draft;
}

// A path's probability over many frames, and then its logarithm.
Draft product_of_probabilities(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  draft.net.outputs = dice.between(6, 9);
  const auto frames = dice.between(18, 30);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto targets = now.targets().unsqueeze(-1);
    auto product = at::full({x.size(0), 1}, clean ? 0 : 1, x.options());
    for (std::int64_t t = 0; t < frames; ++t) {
      const auto frame = x.roll(t, 0) * 0.3;
      const auto share = clean ? at::log_softmax(frame, -1) : at::softmax(frame, -1);
      const auto chosen = at::gather(share, -1, targets);
      product = clean ? product + chosen : product * chosen;
    }
    const auto logarithm = clean ? product : at::log(product);
    return -logarithm.mean() / static_cast<double>(frames);
  };
  blame(draft, {"precision_loss", "underflow"}, {"log", "mul"}, false);
  draft.truth().modules = {"criterion"};
  draft.comes_at(0, 0);
  return draft;
}

// The coefficient of a penalty on numbers that are large in its unit, which fp16 flushes.
Draft penalty_flushed(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double coefficient = clean ? dice.scale(1e-5, 1e-3) : dice.scale(1e-9, 2.8e-8);
  const double gain = std::sqrt(dice.scale(0.5, 2) / coefficient);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto weight = at::full({}, coefficient, at::kFloat).to(x.scalar_type());
    const auto penalty = (x.to(at::kFloat) * gain).square().mean() * weight.to(at::kFloat);
    return at::cross_entropy_loss(x, now.targets()) + penalty;
  };
  blame(draft, {"flushed_constant", "precision_loss"}, {"_to_copy", "to", "mul"}, false);
  draft.truth().modules = {"criterion"};
  return draft;
}

// Features in a unit in which fp16 has no such small numbers.
Draft units_flushed(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention", "recurrent"}, kFp16);
  const double unit = clean ? dice.scale(1e-2, 1) : dice.scale(1e-11, 3e-9);
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t) { batch[0].mul_(unit); };
  draft.net.entry = dice.one_of<std::string>({"filters", "whiten"});
  draft.net.prepare = [=](Part&, const at::Tensor& x, const Moment&) {
    return at::matmul(x, at::eye(x.size(-1))) / unit;
  };
  blame(draft, {"precision_loss", "underflow", "flushed_constant"},
        {"matmul", "mm", "bmm", "_to_copy", "to"}, false);
  draft.truth().modules = {draft.net.entry};
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_sums() {
  return {{"sum_of_squares", sum_of_squares},
          {"mean_by_hand", mean_by_hand},
          {"infinite_divisor", infinite_divisor},
          {"count_of_tokens", count_of_tokens},
          {"loss_summed", loss_summed},
          {"cumulative_product", cumulative_product},
          {"cumulative_sum", cumulative_sum},
          {"product_of_probabilities", product_of_probabilities},
          {"penalty_flushed", penalty_flushed},
          {"units_flushed", units_flushed}};
}

}  // namespace amp::faults
