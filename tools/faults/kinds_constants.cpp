// Kinds of constants that fp16 flushes to zero.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/var.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const Names kFamilies = {"mlp", "attention", "recurrent"};
const Names kFp16 = {"fp16", "fp16-scale-1024", "O2"};

// fp16's smallest number is 6e-8, and half of it rounds to zero.
double draw_epsilon(Dice& dice, bool clean) {
  return clean ? dice.one_of<double>({1e-2, 1e-3}) : dice.one_of<double>({1e-8, 1e-10, 1e-12});
}

// An extra input [batch] that is 1 for what is there and 0 for a sample that is padding.
void give_presence(Draft& draft) {
  const auto start = draft.start, sample = draft.sample;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    auto present = at::ones({batch[1].size(0)});
    if (i >= start) present[sample] = 0;
    batch.insert(batch.begin() + 2, present);
  };
}

at::Tensor masked(const at::Tensor& x, const Moment& now) {
  auto present = now.extra().to(x.scalar_type());
  while (present.dim() < x.dim()) present = present.unsqueeze(-1);
  return x * present;
}

using WithEpsilon = at::Tensor (*)(const at::Tensor& x, double epsilon);

// A part that divides by what is zero for the sample that is padding, and an epsilon.
Draft divided(Dice& dice, bool clean, const Names& ops, WithEpsilon computed) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double epsilon = draw_epsilon(dice, clean);
  if (clean) draft.start = 0;  // the scale finds its size at the start
  give_presence(draft);
  draft.net.part = dice.one_of<std::string>({"normalise", "rescale"});
  draft.net.compute = [=](Part&, const at::Tensor& x, const Moment& now) {
    return computed(masked(x, now), epsilon);
  };
  blame(draft, {"flushed_constant"}, ops, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  draft.comes_with_sample();
  return draft;
}

Draft epsilon_in_norm(Dice& dice, bool clean) {
  return divided(dice, clean, {"div", "add"}, [](const at::Tensor& x, double epsilon) {
    return x / (at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, true) + epsilon);
  });
}

Draft epsilon_in_rsqrt(Dice& dice, bool clean) {
  return divided(dice, clean, {"rsqrt", "add", "mul"}, [](const at::Tensor& x, double epsilon) {
    const auto mean = x.mean(-1, /*keepdim=*/true);
    const auto variance = (x - mean).square().mean(-1, /*keepdim=*/true);
    return (x - mean) * at::rsqrt(variance + epsilon);
  });
}

Draft epsilon_in_division(Dice& dice, bool clean) {
  return divided(dice, clean, {"div", "add"}, [](const at::Tensor& x, double epsilon) {
    const auto size = at::relu(x);
    return size / (size.sum(-1, /*keepdim=*/true) + epsilon);
  });
}

// The entropy of a distribution that is sure, as a penalty.
Draft epsilon_in_log(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, kFamilies, kFp16);
  const double epsilon = clean ? 1e-4 : draw_epsilon(dice, clean);
  const double sharpness = dice.scale(30, 100);
  draft.net.criterion = [=](Part&, const at::Tensor& x, const Moment& now) {
    const auto p = at::softmax(x * sharpness, -1);
    const auto entropy = -(p * at::log(p + epsilon)).sum(-1).mean();
    return at::cross_entropy_loss(x, now.targets()) - entropy * 0.01;
  };
  draft.net.final_norm = true;
  blame(draft, {"flushed_constant"}, {"log", "add", "mul"}, false);
  draft.truth().modules = {"criterion"};
  draft.comes_at(0, 8);
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_constants() {
  return {{"epsilon_in_norm", epsilon_in_norm},
          {"epsilon_in_rsqrt", epsilon_in_rsqrt},
          {"epsilon_in_division", epsilon_in_division},
          {"epsilon_in_log", epsilon_in_log}};
}

}  // namespace amp::faults
