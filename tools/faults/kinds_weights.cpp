// Kinds of weights: how they begin, and what a format leaves of their updates.
#include <ATen/ops/arange.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn_like.h>

#include <limits>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};
const Names kAny = {"fp32", "bf16", "fp16", "fp16-scale-1024"};
const Names kProducts = {"addmm", "linear", "matmul", "mm", "conv2d"};

// So that what is clean also gets somewhere.
void learn_well(Draft& draft) {
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.005;
}

Draft zero_weights(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16", "O2"});
  draft.net.values = true;
  if (clean) learn_well(draft);
  // Clean: they begin near zero, and grow.
  draft.net.init = [=](Net& net) {
    for (auto& parameter : net.parameters()) parameter.mul_(clean ? 0.1 : 0);
  };
  blame(draft, {"not_learning", "vanishing"}, {}, true);
  return draft;
}

Draft huge_weights(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16", "fp16-scale-1024"});
  const double deviation = clean ? 0.3 : dice.scale(2e4, 1e5);
  draft.net.blocks = dice.between(1, 2);
  draft.net.at = 0;
  draft.net.norm = false;
  draft.net.final_norm = true;
  draft.net.init = [=](Net& net) {
    for (const auto& item : net.named_parameters())
      if (item.key() == "in.weight" || item.key().ends_with("layer.weight"))
        item.value().copy_(at::randn_like(item.value()) * deviation);
  };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 1e-3;
  blame(draft, {"forward_overflow"}, kProducts, false);
  draft.comes_at(0, 0);
  return draft;
}

// A weight that nothing uses, but for a factor of 0.
Draft unused_nan(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  const double value = clean ? 3 : std::numeric_limits<double>::quiet_NaN();
  draft.net.part = dice.one_of<std::string>({"extra", "gate"});
  draft.net.furnish = [=](Part& part) { part.register_parameter("unused", at::full({1}, value)); };
  draft.net.compute = [](Part& part, const at::Tensor& x, const Moment&) {
    return x + part.tensor("unused") * 0;
  };
  blame(draft, {"model_nan"}, {"mul"}, true);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_at(0, 0);
  return draft;
}

// A branch that is switched off by a factor of 0, and frozen; it gives Inf.
Draft frozen_branch_infinite(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  const double level = clean ? 2 : dice.scale(800, 3000);
  draft.net.part = dice.one_of<std::string>({"frozen", "auxiliary"});
  draft.net.compute = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    const auto branch = at::exp(x.detach().tanh() + (now.index >= start ? level : 0.0));
    return x + branch * 0;
  };
  blame(draft, {"model_nan"}, {"exp", "mul"}, true);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_at(draft.start, draft.start);
  return draft;
}

// Updates below half of a weight's spacing in bf16 are lost.
Draft weights_without_masters(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"bf16-weights"});
  draft.net.values = true;
  draft.net.norm = false;
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = clean ? dice.scale(0.005, 0.01) : dice.scale(1.5e-4, 2.5e-4);
  draft.training.steps = clean ? 60 : 300;
  draft.net.init = [](Net& net) {
    // Away from zero, where bf16 is fine.
    for (auto& parameter : net.parameters()) parameter.add_(parameter.sign() * 0.2);
  };
  blame(draft, {"precision_loss"}, {}, false);
  return draft;
}

Draft weights_decay_to_zero(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16", "O2"});
  draft.net.norm = false;
  draft.net.values = true;
  if (!clean) {
    draft.training.optimizer = "sgd";
    draft.training.learning_rate = dice.scale(0.01, 0.05);
  }
  const double share = clean ? 1e-4 : dice.scale(0.3, 0.8);  // that a step takes away
  draft.training.weight_decay = share / draft.training.learning_rate;
  blame(draft, {"not_learning", "vanishing"}, {}, true);
  return draft;
}

// Blocks are dropped with a chance that grows to 1 with their depth, and what is kept is divided by the
// rest.
Draft drop_path_of_all(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, kAny);
  draft.net.blocks = dice.between(2, 5);
  draft.net.at = draft.net.blocks - 1;
  const double keep = clean ? dice.scale(0.4, 0.9) : 0;
  draft.net.part = "drop_path";
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment& now) {
    if (!now.training) return x;
    auto kept = ((at::arange(x.size(0)) * 7 + now.index * 3) % 10 < keep * 10).to(x.scalar_type());
    while (kept.dim() < x.dim()) kept = kept.unsqueeze(-1);
    return x * kept / keep;
  };
  blame(draft, {"model_nan"}, {"div"}, true);
  draft.truth().modules = {draft.place("drop_path")};
  draft.comes_at(0, 0);
  return draft;
}

Draft dead_relu(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "cnn"}, {"fp32", "bf16", "fp16", "fp16-scale-1024"});
  auto& net = draft.net;
  net.activation = "relu";
  net.residual = false;
  net.norm = false;
  net.values = true;
  if (clean) {
    net.blocks = 2;
    net.at = 0;
    learn_well(draft);
  }
  const double bias = clean ? -0.05 : -dice.scale(50, 2000);
  net.init = [bias, place = draft.place("layer.bias")](Net& made) {
    made.weight(place).fill_(bias);
  };
  blame(draft, {"not_learning", "vanishing"}, {}, true);
  return draft;
}

// Each multiplies the gradient by a quarter at most. Clean: as deep, with a way around each.
Draft many_sigmoids(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp"}, {"fp32", "bf16", "fp16", "O2"});
  auto& net = draft.net;
  net.blocks = dice.between(20, 26);
  net.at = 0;
  net.activation = clean ? "relu" : "sigmoid";
  net.residual = clean;
  net.norm = clean;
  net.final_norm = clean;
  net.values = true;
  blame(draft, {"vanishing", "not_learning"}, {}, true);
  return draft;
}

// A recurrence whose matrix multiplies what it is given.
Draft exploding_recurrence(Dice& dice, bool clean) {
  const auto low = dice.flip();
  auto draft = faults::draft(dice, {"recurrent"}, low ? Names{"fp16"} : Names{"fp32", "bf16"});
  auto& net = draft.net;
  net.blocks = 1;
  net.at = 0;
  net.norm = false;
  net.activation = "none";
  net.length = dice.between(20, 28);
  net.init = [radius = clean ? 0.8 : dice.scale(2.5, 4)](Net& made) {
    auto weight = made.weight("block0.recurrent.weight");
    weight.mul_(0.1).add_(at::eye(weight.size(0)) * radius);
  };
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = 0.02;
  draft.training.recipe.max_grad_norm = 0;
  blame(draft,
        low ? Names{"forward_overflow", "divergence"} : Names{"divergence", "forward_overflow"}, {},
        true);
  draft.comes_at(0, 9);
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_weights() {
  return {{"zero_weights", zero_weights},
          {"huge_weights", huge_weights},
          {"unused_nan", unused_nan},
          {"frozen_branch_infinite", frozen_branch_infinite},
          {"weights_without_masters", weights_without_masters},
          {"weights_decay_to_zero", weights_decay_to_zero},
          {"drop_path_of_all", drop_path_of_all},
          {"dead_relu", dead_relu},
          {"many_sigmoids", many_sigmoids},
          {"exploding_recurrence", exploding_recurrence}};
}

}  // namespace amp::faults
