// Kinds of positions, phases and running counts that bf16 or fp16 round.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

constexpr double kPi = 3.14159265358979323846;

// An extra input, each sample's position, and targets that are waves of it.
void give_positions(Draft& draft, std::int64_t first, std::int64_t count) {
  const auto outputs = draft.net.outputs;
  draft.net.data = [=](std::vector<at::Tensor>& batch, std::int64_t i) {
    const auto samples = at::arange(batch[1].size(0));
    const auto position = (samples * 37 + i * 11) % count + first;
    const auto phases = position.unsqueeze(1) * (2 * kPi / 8) + at::arange(outputs);
    batch.insert(batch.begin() + 2, position);
    batch.back() = at::sin(phases);
  };
}

// A wave of the period 8, and its multiples, [batch, width].
at::Tensor waves(const at::Tensor& phase, std::int64_t width) {
  return at::stack({at::sin(phase), at::cos(phase)}, -1).repeat({1, width / 2});
}

Draft with_positions(Dice& dice, const Names& precisions) {
  auto draft = faults::draft(dice, {"mlp"}, precisions);
  auto& net = draft.net;
  net.values = true;
  net.residual = false;
  net.blocks = 1;
  net.at = 0;
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.02;
  return draft;
}

// bf16 has no odd number above 256.
Draft positions_in_bf16(Dice& dice, bool clean) {
  auto draft = with_positions(dice, {"bf16"});
  give_positions(draft, clean ? 0 : dice.between(512, 1500), clean ? 256 : 500);
  draft.net.part = dice.one_of<std::string>({"position", "encoding"});
  draft.net.compute = [](Part&, const at::Tensor& x, const Moment& now) {
    const auto position = now.extra().to(x.scalar_type()).to(at::kFloat);
    return x * 0.1 + waves(position * (2 * kPi / 8), x.size(-1)).to(x.scalar_type());
  };
  blame(draft, {"precision_loss"}, {"_to_copy", "to"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  return draft;
}

// The position is exact, and the phase is not.
Draft sinusoidal_phases(Dice& dice, bool clean) {
  auto draft = with_positions(dice, {"bf16", "fp16", "fp16-scale-1024"});
  const bool wide = draft.training.precision == "bf16";
  give_positions(draft, wide ? 100 : dice.between(1500, 1700), wide ? 150 : 300);
  draft.net.part = dice.one_of<std::string>({"position", "encoding"});
  draft.net.compute = [clean](Part&, const at::Tensor& x, const Moment& now) {
    const auto position = now.extra().to(clean ? at::kFloat : x.scalar_type());
    return x * 0.1 + waves(position * (2 * kPi / 8), x.size(-1)).to(x.scalar_type());
  };
  blame(draft, {"precision_loss"}, {"mul", "sin", "cos"}, false);
  draft.truth().modules = {draft.place(draft.net.part)};
  return draft;
}

// x's halves turned by the phases [length, width / 2].
at::Tensor rotated(const at::Tensor& x, const at::Tensor& phases) {
  const auto halves = x.chunk(2, -1);
  const auto sine = at::sin(phases), cosine = at::cos(phases);
  return at::cat({halves[0] * cosine - halves[1] * sine, halves[0] * sine + halves[1] * cosine},
                 -1);
}

Draft rotary_phases(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"attention"}, {"bf16", "fp16"});
  draft.net.norm = true;
  const auto first = dice.between(3000, 9000), length = draft.net.length;
  draft.net.init = [place = draft.place()](Net& net) {
    for (const auto* name : {".q.weight", ".k.weight", ".v.weight"})
      net.weight(place + name).mul_(4);
  };
  draft.net.attend = [=](const auto& q, const auto& k, const auto& v, const Moment&) {
    const auto dtype = clean ? at::kFloat : q.scalar_type();
    const auto positions = (at::arange(length) + first).to(dtype).unsqueeze(1);
    const auto frequencies = (at::arange(q.size(-1) / 2) * -0.5).exp().to(dtype);
    const auto phases = positions * frequencies;
    const auto turned_q = rotated(q, phases), turned_k = rotated(k, phases);
    const auto scores = at::matmul(turned_q, turned_k.transpose(-1, -2)) /
                        std::sqrt(static_cast<double>(q.size(-1)));
    return at::matmul(at::softmax(scores, -1), v);
  };
  blame(draft, {"precision_loss"}, {"mul", "sin", "cos", "_to_copy", "to"}, false);
  draft.truth().modules = {draft.place("attend")};
  return draft;
}

// Stateful: a loss in units of a running average in bf16, which moves by less than half of its spacing.
Draft average_stands_still(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"bf16-weights"});
  const double momentum = clean ? 0.9 : 0.9995, level = dice.scale(12, 15);
  draft.training.steps = clean ? 60 : 300;
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 2e-4;
  draft.net.values = true;
  draft.net.furnish = [](Part& part) { part.register_buffer("average", at::ones({})); };
  draft.net.criterion = [=](Part& part, const at::Tensor& x, const Moment& now) {
    auto average = part.tensor("average");
    if (now.training) average.mul_(momentum).add_(now.targets().abs().mean() * level, 1 - momentum);
    return at::mse_loss(x, now.targets()) / average;
  };
  blame(draft, {"precision_loss"}, {"mul_", "add_", "mul", "add"}, false);
  draft.truth().modules = {"criterion"};
  return draft;
}

// Stateful: a count of steps in bf16, which 256 + 1 leaves where it is, and a penalty that ends by it.
Draft counter_stands_still(Dice& dice, bool clean) {
  auto draft = faults::draft(dice, {"mlp", "attention"}, {"bf16-weights"});
  draft.net.values = true;
  const double first = clean ? 0 : static_cast<double>(dice.between(246, 252));
  draft.training.optimizer = "adamw";
  draft.training.learning_rate = 0.005;
  draft.net.furnish = [=](Part& part) { part.register_buffer("count", at::ones({}) * first); };
  draft.net.criterion = [=](Part& part, const at::Tensor& x, const Moment& now) {
    auto count = part.tensor("count");
    if (now.training) count.add_(1);
    const auto weight = (1 - (count - first) / 20).clamp_min(0);
    return at::mse_loss(x, now.targets()) + x.square().mean() * weight * 10;
  };
  blame(draft, {"precision_loss"}, {"add_", "add"}, false);
  draft.truth().modules = {"criterion"};
  return draft;
}

}  // namespace

std::vector<Kind> kinds_of_positions() {
  return {{"positions_in_bf16", positions_in_bf16},
          {"sinusoidal_phases", sinusoidal_phases},
          {"rotary_phases", rotary_phases},
          {"average_stands_still", average_stands_still},
          {"counter_stands_still", counter_stands_still}};
}

}  // namespace amp::faults
