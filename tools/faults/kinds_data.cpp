// Kinds of data: inputs, targets, classes and indices.
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/randn.h>

#include <limits>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "cnn", "attention", "recurrent"};
const Names kAny = {"fp32", "bf16", "fp16", "fp16-scale-1024", "O2"};
const Names kProducts = {"addmm", "linear", "matmul", "mm", "conv2d", "_to_copy", "to"};

double not_finite(Dice& dice) {
  return dice.one_of<double>({std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()});
}

// `change` is made to the bad sample's part of the inputs or targets, from the start on or once.
void change_sample(Draft& draft, bool once, bool targets,
                   std::function<void(at::Tensor& sample)> change) {
  const auto start = draft.start, sample = draft.sample;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    if (once ? i != start : i < start) return;
    auto bad = (targets ? batch.back() : batch.front())[sample];
    change(bad);
  };
  draft.comes_with_sample();
}

Draft input_not_finite(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  // Clean: an outlier.
  const double value = clean ? dice.one_of<double>({-8, 9, 12}) : not_finite(dice);
  const bool whole = dice.flip();
  change_sample(draft, dice.flip(), false, [=](at::Tensor& sample) {
    if (whole)
      sample.fill_(value);
    else
      sample.view(-1)[1] = value;
  });
  blame(draft, {"bad_data"}, kProducts, true);
  draft.truth().modules = {"in"};
  return draft;
}

// Finite, and beyond anything: a sensor's error code.
Draft input_huge(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention", "cnn"}, kAny);
  const double value = clean ? 20 : dice.scale(1e20, 1e36);
  draft.net.norm = false;
  draft.net.activation = "relu";
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = 0.01;
  draft.training.recipe.max_grad_norm = 0;
  change_sample(draft, false, false, [=](at::Tensor& sample) { sample.view(-1)[0] = value; });
  const bool fits = draft.training.precision == "fp32" || draft.training.precision == "bf16";
  blame(draft, fits ? Names{"bad_data"} : Names{"bad_data", "forward_overflow"}, {}, std::nullopt);
  draft.truth().last_step = draft.start + 3;
  return draft;
}

// None of the features was scaled.
Draft inputs_unscaled(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16", "fp16-scale-1024", "O2"});
  const double gain = clean ? dice.scale(2, 50) : dice.scale(1e6, 1e8);
  draft.net.norm = false;
  draft.net.final_norm = true;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t) { batch[0].mul_(gain); };
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.002;
  blame(draft, {"forward_overflow", "bad_data"}, kProducts, false);
  draft.truth().modules = {"in"};
  draft.comes_at(0, 0);
  return draft;
}

Draft target_not_finite(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  draft.net.values = true;
  const double value = clean ? 3 : not_finite(dice);
  change_sample(draft, dice.flip(), true, [=](at::Tensor& sample) { sample[0] = value; });
  blame(draft, {"bad_data"}, {"mse_loss"}, true);
  return draft;
}

// What a missing number becomes as an integer.
Draft target_giant(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16-scale-1024"});
  draft.net.values = true;
  draft.training.optimizer = "sgd";
  draft.training.learning_rate = 0.02;
  draft.training.recipe.max_grad_norm = 0;
  const double value = clean ? 4 : dice.one_of<double>({-2147483648.0, -9.2e18, 4294967295.0});
  change_sample(draft, false, true, [=](at::Tensor& sample) { sample[0] = value; });
  blame(draft, {"bad_data"}, {}, std::nullopt);
  draft.truth().last_step = draft.start + 5;
  return draft;
}

Draft class_outside(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp32", "bf16", "fp16", "O2", "fp8-emulated"});
  const auto outputs = draft.net.outputs;
  const auto value =
      clean ? outputs - 1 : dice.one_of<std::int64_t>({outputs, outputs + 3, 255, -1});
  change_sample(draft, dice.flip(), true, [=](at::Tensor& sample) { sample.fill_(value); });
  blame(draft, {"bad_data"}, {"cross_entropy_loss", "nll_loss", "nll_loss_forward"}, true);
  return draft;
}

Draft index_outside(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp"}, {"fp32", "bf16", "fp16", "O2"});
  const auto start = draft.start, sample = draft.sample;
  const auto words = dice.between(12, 30), bad = clean ? words - 1 : words + dice.between(0, 9);
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    auto tokens = (at::arange(batch[1].size(0)) * 5 + i * 3) % words;
    if (i >= start) tokens[sample] = bad;
    batch.insert(batch.begin() + 2, tokens);
  };
  draft.net.part = dice.one_of<std::string>({"embed", "words"});
  draft.net.furnish = [=, width = draft.net.width](Part& part) {
    part.register_parameter("weight", at::randn({words, width}));
  };
  draft.net.compute = [](Part& part, const at::Tensor& x, const Moment& now) {
    return x + at::embedding(part.tensor("weight"), now.extra());
  };
  blame(draft, {"bad_data"}, {"embedding", "index_select"}, true);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_with_sample();
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_data() {
  return {{"input_not_finite", input_not_finite}, {"input_huge", input_huge},
          {"inputs_unscaled", inputs_unscaled},   {"target_not_finite", target_not_finite},
          {"target_giant", target_giant},         {"class_outside", class_outside},
          {"index_outside", index_outside}};
}

}  // namespace amp::faults
