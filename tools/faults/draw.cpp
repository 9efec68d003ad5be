// Drawing a training.
#include <algorithm>

#include "amp/error.h"
#include "tools/faults/kinds.h"

namespace amp::faults {
namespace {

const std::vector<Kind>& all_kinds() {
  static const auto kinds = [] {
    std::vector<Kind> all;
    for (auto* list : {kinds_of_masks, kinds_of_overflows, kinds_of_constants,
                       kinds_of_normalisation, kinds_of_sums, kinds_of_positions, kinds_of_losses,
                       kinds_of_derivatives, kinds_of_weights, kinds_of_learning, kinds_of_data})
      for (auto& kind : list()) all.push_back(kind);
    return all;
  }();
  return kinds;
}

}  // namespace

std::string Draft::place(const std::string& part) const {
  const auto block = "block" + std::to_string(net.at);
  return part.empty() ? block : block + "." + part;
}

void Draft::comes_with_sample() {
  comes_at(start, start);
  truth().sample = sample;
}

void Draft::comes_at(std::int64_t first, std::int64_t last) {
  truth().first_step = first + 1;
  truth().last_step = last + 1;
}

Recipe recipe_of(const std::string& precision) {
  const std::string scaled = "fp16-scale-";
  if (precision == "fp32") return Recipe::fp32();
  if (precision == "bf16") return Recipe::bf16();
  if (precision == "O2") return Recipe::O2();
  if (precision == "fp8-emulated") return Recipe::fp8();
  if (precision == "bf16-weights") {
    auto recipe = Recipe::bf16();
    recipe.model_dtype = at::kBFloat16;
    return recipe;
  }
  auto recipe = Recipe::fp16();
  if (precision.starts_with(scaled)) {
    recipe.loss_scaling = LossScaling::fixed;
    recipe.static_scale = std::stod(precision.substr(scaled.size()));
  }
  return recipe;
}

Draft draft(Dice& dice, const Names& families, const Names& precisions) {
  Draft draft;
  auto& net = draft.net;
  net.family = dice.one_of(families);
  net.blocks = dice.between(1, net.family == "recurrent" ? 2 : 4);
  net.width = dice.one_of<std::int64_t>({8, 16, 24, 32});
  net.batch = dice.one_of<std::int64_t>({8, 16, 24});
  net.outputs = dice.between(3, 8);
  net.features = dice.between(8, 16);
  net.length = dice.between(4, 8);
  net.activation = net.family == "recurrent" ? "tanh" : dice.one_of<std::string>({"relu", "gelu"});
  net.norm = dice.flip();
  net.at = dice.between(0, net.blocks - 1);
  net.seed = static_cast<std::uint64_t>(dice.between(1, 1'000'000'000));
  draft.start = dice.one_of<std::int64_t>({0, dice.between(1, 8), dice.between(9, 40)});
  draft.sample = dice.between(0, net.batch - 1);
  auto& training = draft.training;
  training.precision = dice.one_of(precisions);
  training.recipe = recipe_of(training.precision);
  training.optimizer = dice.one_of<std::string>({"sgd", "adamw"});
  training.learning_rate =
      training.optimizer == "sgd" ? dice.scale(0.01, 0.1) : dice.scale(0.001, 0.005);
  training.seed = net.seed;
  if (dice.between(0, 3) == 0) training.recipe.max_grad_norm = dice.scale(0.5, 5);
  return draft;
}

void blame(Draft& draft, const Names& verdicts, const Names& ops, std::optional<bool> fp32_too) {
  draft.truth().verdicts = verdicts;
  draft.truth().ops = ops;
  draft.truth().fp32_too = fp32_too;
}

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& kind : all_kinds()) names.push_back(kind.name);
  return names;
}

Case draw(const std::string& kind, bool clean, std::mt19937_64& random) {
  const auto found = std::ranges::find(all_kinds(), kind, &Kind::name);
  if (found == all_kinds().end()) throw InvalidArgument("draw: there is no kind '" + kind + "'");
  Dice dice(random);
  auto draft = found->draw(dice, clean);
  auto training = std::move(draft.training);
  training.truth.kind = kind;
  training.truth.clean = clean;
  if (clean) {
    training.truth = {.kind = kind, .clean = true, .verdicts = {"clean"}, .ops = {}, .modules = {}};
  }
  training.make = [net = std::move(draft.net)] { return std::make_shared<Net>(net); };
  return training;
}

}  // namespace amp::faults
