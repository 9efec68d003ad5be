// Kinds of normalisation by hand.
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/std.h>
#include <ATen/ops/tanh.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kRows = {"mlp", "attention", "recurrent"};
const Names kAny = {"fp32", "bf16", "fp16", "fp16-scale-1024"};

// E[x^2] - E[x]^2 of rows whose mean is large is zero or negative.
Draft variance_by_squares(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kRows, {"bf16", "fp16", "fp16-scale-1024"});
  const double offset = clean ? dice.scale(0.1, 1) : dice.scale(40, 120);
  draft.net.part = "norm_by_hand";
  draft.net.compute = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    const auto y = at::tanh(x) + (now.index >= start ? offset : 0.0);
    const auto mean = y.mean(-1, /*keepdim=*/true);
    const auto variance = y.square().mean(-1, /*keepdim=*/true) - mean.square();
    return (y - mean) * at::rsqrt(variance + 1e-2);
  };
  blame(draft, {"precision_loss"}, {"sub", "rsqrt", "square", "pow"}, false);
  draft.truth().modules = {draft.place("norm_by_hand")};
  draft.comes_at(draft.start, draft.start + 5);
  return draft;
}

// What is left of a row after its large mean has been taken away.
Draft layer_norm_by_hand(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kRows, {"bf16", "fp16", "fp16-scale-1024"});
  const bool wide = draft.training.precision == "bf16";
  const double offset = clean ? dice.scale(0.1, 2) : (wide ? 1 : 8) * dice.scale(200, 1000);
  draft.net.residual = false;
  draft.net.norm = true;
  draft.net.blocks = dice.between(1, 2);
  draft.net.at = draft.net.blocks - 1;
  draft.net.part = "norm_by_hand";
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    const auto y = x + offset;
    const auto centred = y - y.mean(-1, /*keepdim=*/true);
    return centred * at::rsqrt(centred.square().mean(-1, /*keepdim=*/true) + 1e-2);
  };
  blame(draft, {"precision_loss"}, {"add", "sub", "mean", "rsqrt"}, false);
  draft.truth().modules = {draft.place("norm_by_hand")};
  return draft;
}

// A derivative by differences whose step is lost in rounding.
Draft finite_difference(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kRows, {"bf16", "fp16", "fp16-scale-1024"});
  const bool wide = draft.training.precision == "bf16";
  const double step = (wide ? 8 : 1) * dice.scale(1e-4, 5e-4);
  draft.net.residual = false;
  draft.net.part = dice.one_of<std::string>({"slope", "derivative"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment&) {
    const auto y = clean ? x.to(at::kFloat) : x;
    return (at::tanh(y + step) - at::tanh(y)) / step;
  };
  blame(draft, {"precision_loss"}, {"sub", "add", "tanh", "div"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  return draft;
}

// A feature of the inputs does not vary, and they are divided by its deviation.
Draft constant_feature(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, kAny);
  const auto start = draft.start, feature = dice.between(0, draft.net.features - 1);
  const double value = dice.one_of<double>({0, 1, -2});
  const bool guarded = clean && dice.flip();
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    if (i >= start && (!clean || guarded)) batch[0].select(-1, feature).fill_(value);
  };
  draft.net.entry = dice.one_of<std::string>({"normalise", "standardise"});
  draft.net.prepare = [=](Part&, const at::Tensor& x, const Moment&) {
    const auto rows = x.flatten(0, -2);
    const auto deviation = at::std(rows, 0, /*unbiased=*/true);
    return (x - rows.mean(0)) / (guarded ? deviation + 1e-5 : deviation);
  };
  blame(draft, {"model_nan"}, {"div"}, true);
  draft.truth().modules = {draft.net.entry};
  draft.comes_at(start, start);
  return draft;
}

// The deviation of a last batch that has one sample.
Draft batch_of_one(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp"}, kAny);
  const auto start = draft.start, left = clean ? dice.between(3, 5) : 1;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    if (i != start) return;
    for (auto& tensor : batch) tensor = tensor.narrow(0, 0, left);
  };
  draft.net.part = dice.one_of<std::string>({"batch_norm_by_hand", "standardise"});
  draft.net.compute = [](Part&, const at::Tensor& x, const Moment&) {
    return (x - x.mean(0)) / (at::std(x, 0, /*unbiased=*/true) + 0.1);
  };
  blame(draft, {"model_nan"}, {"std", "var"}, true);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_at(start, start);
  return draft;
}

// Batch statistics in training, running ones in evaluation, which nobody has kept.
Draft running_variance_zero(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, kAny);
  draft.net.part = dice.one_of<std::string>({"batch_norm_by_hand", "standardise"});
  draft.net.furnish = [=, width = draft.net.width](Part& part) {
    part.register_buffer("running_mean", at::ones({width}) * 0);
    part.register_buffer("running_variance", at::ones({width}) * (clean ? 1 : 0));
  };
  draft.net.compute = [=](Part& part, const at::Tensor& x, const Moment& now) {
    const auto rows = x.flatten(0, -2);
    if (!now.training) {
      const auto y = x - part.tensor("running_mean");
      return y / at::sqrt(part.tensor("running_variance")) * 0.1 + x;
    }
    const auto mean = rows.mean(0), variance = (rows - mean).square().mean(0);
    return (x - mean) * at::rsqrt(variance + 0.1) * 0.1 + x;
  };
  blame(draft, {"eval_only"}, {"div"}, true);
  draft.truth().modules = {draft.place(draft.net.part)};
  return draft;
}

// In training, dropout thins out what overflows in evaluation.
Draft overflow_without_dropout(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"fp16", "fp16-scale-1024"});
  const double level = clean ? 100 : dice.scale(7000, 9000);
  draft.net.width = dice.one_of<std::int64_t>({16, 24});
  draft.net.part = "pool";
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment& now) {
    // One of 8 columns is kept, and nobody divided by that.
    auto kept = at::ones({x.size(-1)}, x.options());
    if (now.training)
      for (std::int64_t i = 0; i < x.size(-1); ++i) kept[i] = (i + now.index) % 8 == 0 ? 1 : 0;
    const auto sum = ((at::tanh(x) + 2) * kept * level).sum(-1, /*keepdim=*/true);
    return x + sum / (level * static_cast<double>(x.size(-1)));
  };
  blame(draft, {"eval_only"}, {"sum"}, false);
  draft.truth().modules = {draft.place("pool")};
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_normalisation() {
  return {{"variance_by_squares", variance_by_squares},
          {"layer_norm_by_hand", layer_norm_by_hand},
          {"finite_difference", finite_difference},
          {"constant_feature", constant_feature},
          {"batch_of_one", batch_of_one},
          {"running_variance_zero", running_variance_zero},
          {"overflow_without_dropout", overflow_without_dropout}};
}

}  // namespace amp::faults
