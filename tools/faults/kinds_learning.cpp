// Kinds of learning rates, loss scales and losses that nothing or too much comes of.
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/zeros.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};

// A likelihood with a deviation that is learned: the loss goes from about 0 to -30.
void become_negative(Draft& draft) {
  draft.net.values = true;
  draft.net.furnish = [](Part& part) { part.register_parameter("log_deviation", at::zeros({1})); };
  draft.net.criterion = [](Part& part, const at::Tensor& x, const Moment& now) {
    const auto s = part.tensor("log_deviation");
    const auto error = x.to(at::kFloat) * 0.01 - now.targets() * 0.01;
    return ((error.square() * at::exp(s * -2)).mean() + s.sum()) * 10;
  };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.05;
}

void begin_near_zero(Draft& draft) {
  draft.net.values = true;
  draft.net.init = [](Net& net) {
    for (auto& parameter : net.parameters()) parameter.mul_(1e-4);
  };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.003;
}

// A penalty that a schedule switches on, so that the loss jumps.
void switch_penalty_on(Draft& draft) {
  const auto start = draft.start;
  draft.net.criterion = [start](Part&, const at::Tensor& x, const Moment& now) {
    const auto loss = at::cross_entropy_loss(x, now.targets());
    return now.index < start ? loss : loss + x.to(at::kFloat).square().mean() * 20;
  };
  draft.training.learning_rate = draft.training.optimizer == "sgd" ? 0.01 : 0.003;
}

void be_noisy(Draft& draft) {
  draft.net.batch = 8;
  draft.sample = 0;
  draft.net.values = true;
  draft.net.data = [](std::vector<at::Tensor>& batch, std::int64_t i) {
    batch.back() = batch.back() + at::cos(batch[0].flatten(1).sum(1, true) * 1000) * (1 + i % 5);
  };
  draft.net.part = "dropout";
  draft.net.compute = [](Part&, const at::Tensor& x, const Moment& now) {
    return at::dropout(x, 0.3, now.training);
  };
}

// What may be taken for a training that diverges or does not learn.
Draft unusual_but_clean(Dice& dice) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16"});
  dice.one_of<void (*)(Draft&)>({become_negative, begin_near_zero, switch_penalty_on, be_noisy})(
      draft);
  return draft;
}

Draft learning_rate_too_large(Dice& dice, bool clean) {
  if (clean) return unusual_but_clean(dice);
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16", "fp16-scale-1024"});
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = dice.scale(1e2, 1e5);
  draft.training.recipe.max_grad_norm = 0;
  draft.net.values = dice.flip();
  blame(draft, {"divergence"}, {}, true);
  return draft;
}

// Steps that move no weight.
Draft learning_rate_too_small(Dice& dice, bool clean) {
  if (clean) return unusual_but_clean(dice);
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16"});
  draft.training.learning_rate = dice.scale(1e-12, 1e-9);
  blame(draft, {"not_learning"}, {}, true);
  return draft;
}

// The loss is multiplied from a micro-batch on, as a learning rate that jumps does.
Draft loss_jumps(Dice& dice, bool clean) {
  if (clean) return unusual_but_clean(dice);
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16"});
  const double factor = dice.scale(1e5, 1e7);
  draft.net.values = true;
  draft.net.criterion = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    return at::mse_loss(x, now.targets()) * (now.index >= start ? factor : 1.0);
  };
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = dice.scale(0.02, 0.1);
  draft.training.recipe.max_grad_norm = 0;
  blame(draft, {"divergence"}, {}, true);
  draft.comes_at(draft.start, draft.start + 9);
  return draft;
}

// The mask of what counts is zero everywhere.
Draft loss_of_nothing(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16", "O2", "fp8-emulated"});
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t) {
    const auto kept = at::arange(batch[1].size(0)) % 3 != 1;
    batch.insert(batch.begin() + 2, kept.to(at::kFloat) * (clean ? 1 : 0));
  };
  draft.net.criterion = [](Part&, const at::Tensor& x, const Moment& now) {
    const auto losses = at::cross_entropy_loss(x, now.targets(), {}, /*Reduction::None=*/0);
    return (losses * now.extra()).sum() / (now.extra().sum() + 1);
  };
  blame(draft, {"not_learning"}, {}, true);
  return draft;
}

std::string fixed_scale(std::int64_t exponent) {
  return "fp16-scale-" + std::to_string(std::int64_t{1} << exponent);
}

Draft static_scale_too_large(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies,
                             {fixed_scale(clean ? dice.between(7, 11) : dice.between(26, 40))});
  blame(draft, {"scale_overflow"}, {}, false);
  draft.comes_at(0, 1);
  return draft;
}

// A loss that is tiny, with a scale of 1 or so.
Draft static_scale_too_small(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {fixed_scale(dice.between(0, 3))});
  // Clean: the dynamic scale grows as far as it must.
  if (clean) draft.training.recipe = recipe_of(draft.training.precision = "fp16");
  const double factor = clean ? dice.scale(1e-3, 1e-2) : dice.scale(1e-8, 3e-7);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    return at::cross_entropy_loss(x, now.targets()) * factor;
  };
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = 0.05 / factor;
  blame(draft, {"underflow"}, {}, false);
  return draft;
}

// Clean: the same, and the dynamic scale has found its size after some steps.
Draft scale_never_fits(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16"});
  draft.training.recipe.scaler.init_scale = std::exp2(static_cast<double>(dice.between(20, 26)));
  // 0.9999 takes thousands of steps from there to a scale that fits.
  draft.training.recipe.scaler.backoff_factor = clean ? 0.25 : 0.9999;
  blame(draft, {"scale_overflow"}, {}, false);
  draft.comes_at(0, draft.training.steps - 1);
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_learning() {
  return {{"learning_rate_too_large", learning_rate_too_large},
          {"learning_rate_too_small", learning_rate_too_small},
          {"loss_jumps", loss_jumps},
          {"loss_of_nothing", loss_of_nothing},
          {"static_scale_too_large", static_scale_too_large},
          {"static_scale_too_small", static_scale_too_small},
          {"scale_never_fits", scale_never_fits}};
}

}  // namespace amp::faults
