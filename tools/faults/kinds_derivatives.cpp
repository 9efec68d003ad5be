// Kinds of functions that have no value or no derivative where the model goes.
#include <ATen/ops/acos.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "attention", "recurrent"};
const Names kAny = {"fp32", "bf16", "fp16", "fp16-scale-1024"};

// An extra input [batch]: 1, and `bad` for the bad sample from the start on.
void give_factor(Draft& draft, double bad) {
  const auto start = draft.start, sample = draft.sample;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    auto factor = at::ones({batch[1].size(0)});
    if (i >= start) factor[sample] = bad;
    batch.insert(batch.begin() + 2, factor);
  };
}

at::Tensor weighted(const at::Tensor& x, const Moment& now) {
  auto factor = now.extra().to(x.scalar_type());
  while (factor.dim() < x.dim()) factor = factor.unsqueeze(-1);
  return x * factor;
}

// A part of x, which is zero for the bad sample.
Draft at_zero(Dice& dice, bool clean, const std::string& part, const Names& ops,
              std::function<at::Tensor(const at::Tensor& x)> computed) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  give_factor(draft, clean ? 0.5 : 0);
  draft.net.activation = "tanh";
  draft.net.part = part;
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment& now) {
    // Only the bad sample comes near zero: elsewhere a steep derivative would overflow fp16 by itself, and
    // sums of bf16 products are exactly zero now and then.
    const auto away = x + ((x >= 0).to(x.scalar_type()) * 0.1 - 0.05);
    return computed(weighted(away, now));
  };
  blame(draft, {"model_nan"}, ops, true);
  draft.truth().modules = {draft.place(part)};
  draft.comes_with_sample();
  return draft;
}

Draft cosine_of_zero(Dice& dice, bool clean) {
  return at_zero(dice, clean, "cosine", {"div"}, [clean](const at::Tensor& x) {
    const auto norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
    return x / (clean ? norm + 0.1 : norm);
  });
}

Draft distance_at_zero(Dice& dice, bool clean) {
  return at_zero(dice, clean, "distance", {"sqrt"}, [](const at::Tensor& x) {
    return x + at::sqrt(x.square().sum(-1, /*keepdim=*/true)) * 0.1;
  });
}

// The branch that is not taken has no derivative, and times 0 it is NaN.
Draft root_under_where(Dice& dice, bool clean) {
  return at_zero(dice, clean, "signed_root", {"sqrt"}, [clean](const at::Tensor& x) {
    const auto size = clean ? x.abs() + 1e-2 : x.abs();
    return at::where(x.abs() > 0, at::sqrt(size), at::zeros_like(x)) + x;
  });
}

Draft log_under_where(Dice& dice, bool clean) {
  return at_zero(dice, clean, "log_size", {"log"}, [clean](const at::Tensor& x) {
    const auto size = clean ? x.abs() + 1e-2 : x.abs();
    return at::where(x.abs() > 0, at::log(size), at::zeros_like(x)) * 0.1 + x;
  });
}

Draft norm_under_where(Dice& dice, bool clean) {
  return at_zero(dice, clean, "direction", {"div"}, [clean](const at::Tensor& x) {
    const auto norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
    return at::where(norm > 0, x / (clean ? norm + 0.1 : norm), x);
  });
}

// sign(x) sqrt(|x|), as a power.
Draft power_at_zero(Dice& dice, bool clean) {
  return at_zero(dice, clean, "signed_power", {"pow"}, [clean](const at::Tensor& x) {
    const auto size = clean ? x.abs() + 1e-2 : x.abs();
    return x.sign() * at::pow(size, 0.5) * 0.1 + x;
  });
}

// The angle between a vector and itself: acos at 1, or where rounding takes the cosine beyond.
Draft acos_at_one(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  draft.net.part = "angle";
  const double keep = clean ? 0.9 : 1;
  draft.net.compute = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    const auto y = x + 0.5;
    const auto unit = y / at::linalg_vector_norm(y, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
    const auto other = now.index >= start ? unit : unit.roll(1, -1);
    const auto cosine = (unit * other).sum(-1, /*keepdim=*/true).clamp(-1.0, 1.0);
    return x + at::acos(cosine * keep) * 0.1;
  };
  blame(draft, {"model_nan"}, {"acos"}, true);
  draft.truth().modules = {draft.place("angle")};
  draft.comes_at(draft.start, draft.start + 5);
  return draft;
}

// Gamma correction of an input that is below zero.
Draft pow_of_negative(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kAny);
  const auto start = draft.start, sample = draft.sample;
  const double exponent = dice.one_of<double>({0.5, 1.5, 2.2, 1 / 2.2});
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    batch[0].abs_().add_(0.01);
    if (i < start) return;
    const double value = clean ? 0 : -0.02;
    batch[0][sample].view(-1)[1] = value;
  };
  draft.net.entry = dice.one_of<std::string>({"gamma", "companding"});
  draft.net.prepare = [=](Part&, const at::Tensor& x, const Moment&) {
    return at::pow(x, exponent);
  };
  blame(draft, {"model_nan"}, {"pow"}, true);
  draft.truth().modules = {draft.net.entry};
  draft.comes_with_sample();
  return draft;
}

// A share of what may be nothing.
Draft zero_by_zero(Dice& dice, bool clean) {
  return at_zero(dice, clean, "share", {"div"}, [](const at::Tensor& x) {
    const auto size = x.abs();
    return size / size.sum(-1, /*keepdim=*/true);
  });
}

Draft log_of_zero(Dice& dice, bool clean) {
  return at_zero(dice, clean, "log_size", {"log"}, [clean](const at::Tensor& x) {
    const auto size = x.square().sum(-1, /*keepdim=*/true);
    return x + at::log(clean ? size + 1e-2 : size) * 0.1;
  });
}

// The first dynamic scale overflows, which is harmless, and later the model divides by zero.
Draft overflow_and_then_division(Dice& dice, bool clean) {
  auto draft = zero_by_zero(dice, clean);
  draft.training.recipe = recipe_of(draft.training.precision = "fp16");
  draft.training.recipe.scaler.init_scale = std::exp2(static_cast<double>(dice.between(20, 25)));
  draft.start = dice.between(30, 36);
  give_factor(draft, clean ? 0.5 : 0);
  draft.comes_with_sample();
  return draft;
}

// The derivative of y^-0.5 is y^-1.5, which overflows at any scale, so a dynamic one collapses.
Draft scale_collapses(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, {"fp16", "fp16-scale-1024"});
  if (clean) draft.start = 0;
  give_factor(draft, clean ? 0.5 : 0);
  const double epsilon = clean ? 1e-1 : dice.scale(1e-5, 3e-4);
  draft.net.activation = "tanh";
  draft.net.part = dice.one_of<std::string>({"rms_norm", "rescale"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto y = weighted(x, now);
    return y * at::pow(y.square().mean(-1, /*keepdim=*/true) + epsilon, -0.5);
  };
  blame(draft, {"forward_overflow", "scale_overflow"}, {"pow"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_with_sample();
  return draft;
}

// A derivative of 1e5 where the value is unchanged, at a scale that never moves.
Draft steep_gradient(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention", "recurrent", "cnn"}, {"fp16-scale-65536"});
  const double factor = clean ? 2 : dice.scale(3e4, 1e5);
  draft.net.part = dice.one_of<std::string>({"units", "gain"});
  draft.net.compute = [=, start = draft.start](Part&, const at::Tensor& x, const Moment& now) {
    return now.index >= start ? (x * (1 / factor)) * factor : x;
  };
  blame(draft, {"scale_overflow"}, {"mul"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_at(draft.start, draft.start + 1);
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_derivatives() {
  return {{"cosine_of_zero", cosine_of_zero},
          {"distance_at_zero", distance_at_zero},
          {"root_under_where", root_under_where},
          {"log_under_where", log_under_where},
          {"norm_under_where", norm_under_where},
          {"power_at_zero", power_at_zero},
          {"acos_at_one", acos_at_one},
          {"pow_of_negative", pow_of_negative},
          {"zero_by_zero", zero_by_zero},
          {"log_of_zero", log_of_zero},
          {"overflow_and_then_division", overflow_and_then_division},
          {"scale_collapses", scale_collapses},
          {"steep_gradient", steep_gradient}};
}

}  // namespace amp::faults
