// Kinds of numbers that grow beyond fp16 in a forward pass that fp32 computes well.
#include <ATen/ops/exp.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>
#include <torch/nn/modules/linear.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};
const Names kFp16 = {"fp16", "fp16-scale-1024"};

// From the unit of the model into another and back.
Draft product_overflow(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double factor = clean ? dice.scale(10, 500) : dice.scale(1e6, 1e8);
  draft.net.part = dice.one_of<std::string>({"units", "gain"});
  draft.net.compute = [=, start = draft.start](Part&, const auto& x, const Moment& now) {
    return now.index >= start ? (x + 0.1) * factor * (1 / factor) : x;
  };
  blame(draft, {"forward_overflow"}, {"mul"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_at(draft.start, draft.start);
  return draft;
}

// T5's gated feed-forward layer, whose hidden product is large.
Draft gated_ffn(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16", "fp16-scale-1024", "O2"});
  const double factor = clean ? dice.scale(5, 15) : dice.scale(1500, 4000);
  const auto width = draft.net.width;
  draft.net.norm = true;
  draft.net.part = "ffn";
  draft.net.furnish = [=](Part& part) {
    const at::NoGradGuard no_grad;
    for (const auto* name : {"wi_0", "wi_1", "wo"}) {
      auto layer = part.register_module(name, torch::nn::Linear(width, width));
      layer->weight.mul_(name[1] == 'i' ? factor : 1 / (factor * factor));
    }
  };
  draft.net.compute = [](Part& part, const at::Tensor& x, const Moment&) {
    return part.linear("wo", at::gelu(part.linear("wi_0", x)) * part.linear("wi_1", x));
  };
  blame(draft, {"forward_overflow"}, {"mul"}, false);
  draft.truth().modules = {draft.place("ffn")};
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 1e-4;
  draft.comes_at(0, 0);
  return draft;
}

// Many blocks without norms, each of which multiplies.
Draft residual_growth(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16", "fp16-scale-1024", "O2"});
  auto& net = draft.net;
  net.norm = false;
  net.final_norm = true;
  net.blocks = dice.between(6, 8);
  net.activation = "relu";
  const double factor = clean ? 2 : dice.scale(40, 100);
  net.init = [factor](Net& made) {
    for (std::int64_t i = 0; i < made.plan().blocks; ++i) {
      const auto block = "block" + std::to_string(i);
      made.weight(block + ".layer.weight").mul_(factor);
    }
  };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 1e-3;
  blame(draft, {"forward_overflow"}, {"addmm", "matmul", "linear", "add", "mm"}, false);
  draft.comes_at(0, 0);
  return draft;
}

Draft wide_weights(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp16", "fp16-scale-1024", "O2"});
  const double factor = clean ? dice.scale(2, 5) : dice.scale(1e6, 1e7);
  auto& net = draft.net;
  net.family = dice.one_of<std::string>({"mlp", "cnn"});
  net.final_norm = net.family == "mlp";
  net.init = [factor, place = draft.place("layer.weight")](Net& made) {
    made.weight(place).mul_(factor);
  };
  if (draft.training.precision == "O2" && !clean) draft.training.precision = "fp16";
  draft.training.recipe = recipe_of(draft.training.precision);
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 1e-3;
  blame(draft, {"forward_overflow"}, {"addmm", "linear", "matmul", "mm", "conv2d", "_to_copy"},
        false);
  draft.truth().modules = {draft.place("layer")};
  draft.comes_at(0, 0);
  return draft;
}

// A part that works on numbers around `level`, from the fault's start on.
void give_level(Draft& draft, double level, const std::string& name,
                at::Tensor (*computed)(const at::Tensor&)) {
  draft.net.part = name;
  draft.net.compute = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    const double raise = now.index >= start ? level : 0.0;
    return computed(at::tanh(x) + raise) / (1 + std::abs(raise));
  };
  draft.truth().modules = {draft.place(name)};
  draft.comes_at(draft.start, draft.start);
}

Draft softplus_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  give_level(draft, clean ? dice.scale(2, 8) : dice.scale(12.5, 60), "softplus",
             [](const at::Tensor& x) { return at::log(at::exp(x) + 1); });
  blame(draft, {"forward_overflow"}, {"exp"}, false);
  return draft;
}

// The forward pass hides it: 1 / inf is 0.
Draft sigmoid_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  give_level(draft, clean ? -dice.scale(2, 5) : -dice.scale(12.5, 40), "gate",
             [](const at::Tensor& x) { return 1 / (at::exp(-x) + 1); });
  blame(draft, {"forward_overflow"}, {"exp"}, false);
  return draft;
}

Draft log_sum_exp_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  give_level(draft, clean ? dice.scale(1, 6) : dice.scale(12.5, 60), "log_sum_exp",
             [](const at::Tensor& x) { return x - at::log(at::exp(x).sum(-1, /*keepdim=*/true)); });
  blame(draft, {"forward_overflow"}, {"exp"}, false);
  return draft;
}

// A variational model's variance of an unbounded logarithm.
Draft exp_of_log_variance(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  give_level(draft, clean ? dice.scale(1, 3) : dice.scale(12.5, 30), "variance",
             [](const at::Tensor& x) { return at::log1p(at::exp(x) * 1e-3); });
  blame(draft, {"forward_overflow"}, {"exp"}, false);
  return draft;
}

// One sample of one micro-batch of an accumulation group of four.
Draft accumulation_of_four(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, kFp16);
  draft.training.recipe.accumulation = 4;
  const auto start = draft.start, sample = draft.sample;
  const double factor = clean ? 3 : dice.scale(60, 200);
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    if (i == start) batch[0][sample].mul_(factor);
  };
  draft.net.part = "energy";
  draft.net.norm = false;
  draft.net.at = 0;
  draft.net.compute = [](Part&, const at::Tensor& x, const Moment&) {
    const auto square = (x * 3).square().square();
    return at::log1p(square * 0.01);
  };
  blame(draft, {"forward_overflow"}, {"square", "pow"}, false);
  draft.truth().modules = {draft.place("energy")};
  draft.comes_with_sample();
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_overflows() {
  return {
      {"product_overflow", product_overflow},        {"gated_ffn", gated_ffn},
      {"residual_growth", residual_growth},          {"wide_weights", wide_weights},
      {"softplus_by_hand", softplus_by_hand},        {"sigmoid_by_hand", sigmoid_by_hand},
      {"log_sum_exp_by_hand", log_sum_exp_by_hand},  {"exp_of_log_variance", exp_of_log_variance},
      {"accumulation_of_four", accumulation_of_four}};
}

}  // namespace amp::faults
