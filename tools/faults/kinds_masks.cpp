// Kinds of attention: masks, scores and temperatures.
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <limits>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const Names kSoftmax = {"softmax", "_softmax"};
const Names kProduct = {"matmul", "bmm", "baddbmm"};

at::Tensor products(const at::Tensor& q, const at::Tensor& k) {
  return at::matmul(q, k.transpose(-1, -2));
}

at::Tensor scaled(const at::Tensor& q, const at::Tensor& k) {
  return products(q, k) / std::sqrt(static_cast<double>(q.size(-1)));
}

at::Tensor mixed(const at::Tensor& scores, const at::Tensor& v) {
  return at::matmul(at::softmax(scores, -1), v);
}

// [batch, 1, length]: the keys behind each sample's length.
at::Tensor padding(const at::Tensor& keys, const Moment& now) {
  return (at::arange(keys.size(1)) >= now.extra().unsqueeze(1)).unsqueeze(1);
}

// Each sample has 2 to all of its keys; the bad one has none from `start` on, unless it is clean.
void give_lengths(Draft& draft, bool clean) {
  const auto length = draft.net.length, start = draft.start, sample = draft.sample;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    auto lengths = (batch[1] * 7 + at::arange(batch[1].size(0)) * 3) % (length - 1) + 2;
    if (!clean && i >= start) lengths[sample] = 0;
    batch.insert(batch.begin() + 2, lengths);
  };
}

Draft softmax_fully_masked(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"fp32", "bf16", "fp16", "fp16-scale-1024"});
  give_lengths(draft, clean);
  draft.net.attend = [](const auto& q, const auto& k, const auto& v, const Moment& now) {
    return mixed(scaled(q, k).masked_fill(padding(k, now), -kInfinity), v);
  };
  blame(draft, {"model_nan"}, kSoftmax, true);
  draft.truth().modules = {draft.place("attend")};
  draft.comes_with_sample();
  return draft;
}

// Fills with a number that is too large for fp16, which throws.
Draft mask_fill_beyond_fp16(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"fp16", "fp16-scale-1024", "O2"});
  if (clean && dice.flip()) draft.training.recipe = recipe_of(draft.training.precision = "bf16");
  const bool fits = clean && draft.training.precision != "bf16";
  const double value =
      fits ? dice.one_of<double>({-1e4, -6e4}) : dice.one_of<double>({-1e9, -1e10, -1e6, -3e38});
  give_lengths(draft, true);
  draft.net.attend = [value](const auto& q, const auto& k, const auto& v, const Moment& now) {
    return mixed(scaled(q, k).masked_fill(padding(k, now), value), v);
  };
  blame(draft, {"forward_overflow"}, {"masked_fill"}, false);
  draft.truth().modules = {draft.place("attend")};
  draft.comes_at(0, 0);
  return draft;
}

// Adds a number that becomes -inf in fp16: harmless, but in a row that is masked as a whole, which is
// uniform in fp32.
Draft mask_sum_beyond_fp16(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"fp16", "fp16-scale-1024", "O2"});
  const double value = dice.one_of<double>({-1e9, -1e10, -1e6});
  give_lengths(draft, clean);
  draft.net.attend = [value](const auto& q, const auto& k, const auto& v, const Moment& now) {
    const auto scores = scaled(q, k);
    return mixed(scores + padding(k, now).to(scores.scalar_type()) * value, v);
  };
  blame(draft, {"forward_overflow"}, {"mul", "add", "softmax", "_softmax"}, false);
  draft.truth().modules = {draft.place("attend")};
  draft.comes_with_sample();
  return draft;
}

// Without 1 / sqrt(width), on weights that have grown.
Draft scores_unscaled(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"fp16", "fp16-scale-1024", "O2"});
  draft.net.norm = true;
  const double factor = clean ? dice.scale(5, 30) : dice.scale(500, 2000);
  const auto place = draft.place();
  draft.net.init = [=](Net& net) {
    for (const auto* name : {".q.weight", ".k.weight"}) net.weight(place + name).mul_(factor);
  };
  if (clean) draft.training.learning_rate /= 10;
  draft.net.attend = [](const auto& q, const auto& k, const auto& v, const Moment&) {
    return mixed(products(q, k), v);
  };
  blame(draft, {"forward_overflow"}, kProduct, false);
  draft.truth().modules = {draft.place("attend")};
  draft.comes_at(0, 0);
  return draft;
}

Draft attention_temperature(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"fp16", "fp16-scale-1024", "O2"});
  draft.net.norm = true;
  const double temperature = clean ? dice.scale(0.05, 0.5) : dice.scale(1e-6, 1e-5);
  const auto place = draft.place();
  draft.net.init = [=](Net& net) {
    for (const auto* name : {".q.weight", ".k.weight"})
      net.weight(place + name).mul_(clean ? 2 : 8);
  };
  draft.net.attend = [=](const auto& q, const auto& k, const auto& v, const Moment&) {
    return mixed(products(q, k) / temperature, v);
  };
  blame(draft, {"forward_overflow"}, {"div", "mul"}, false);
  draft.truth().modules = {draft.place("attend")};
  draft.comes_at(0, 0);
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_masks() {
  return {{"softmax_fully_masked", softmax_fully_masked},
          {"mask_fill_beyond_fp16", mask_fill_beyond_fp16},
          {"mask_sum_beyond_fp16", mask_sum_beyond_fp16},
          {"scores_unscaled", scores_unscaled},
          {"attention_temperature", attention_temperature}};
}

}  // namespace amp::faults
