// Drawing a fault.
#include <algorithm>
#include <cmath>

#include "tools/faults/faults.h"

namespace amp::faults {
namespace {

class Dice {
 public:
  explicit Dice(std::mt19937_64& random) : random_(random) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  template <typename Value>
  Value one_of(const std::vector<Value>& values) {
    return values[static_cast<std::size_t>(
        between(0, static_cast<std::int64_t>(values.size()) - 1))];
  }

 private:
  std::mt19937_64& random_;
};

Recipe recipe_of(const std::string& precision, double fixed_scale = 0) {
  if (precision == "fp32") return Recipe::fp32();
  if (precision == "bf16") return Recipe::bf16();
  auto recipe = Recipe::fp16();
  if (fixed_scale == 0) return recipe;
  recipe.loss_scaling = LossScaling::fixed;
  recipe.static_scale = fixed_scale;
  return recipe;
}

std::string block_name(const Fault& fault) { return "block" + std::to_string(fault.at); }

std::string layer_op(const Fault& fault) { return fault.family == "cnn" ? "conv2d" : "linear"; }

void draw_forward_overflow(Fault& fault, Dice& dice) {
  fault.precision = "fp16";
  fault.trouble = dice.one_of<Trouble>(
      {Trouble::product, Trouble::exponential, Trouble::scores, Trouble::wide_weights});
  fault.recipe = recipe_of("fp16", dice.one_of<double>({0, 1024}));
  fault.module = block_name(fault);
  if (fault.trouble == Trouble::wide_weights) {
    fault.step = 1;
    fault.op = layer_op(fault);
    fault.module += ".layer";
  } else {
    fault.op = fault.trouble == Trouble::product       ? "mul"
               : fault.trouble == Trouble::exponential ? "exp"
                                                       : "matmul";
  }
}

void draw_model_nan(Fault& fault, Dice& dice) {
  fault.trouble = dice.one_of<Trouble>(
      {Trouble::log_of_zero, Trouble::zero_by_zero, Trouble::arc_cosine, Trouble::root_at_zero});
  fault.module = block_name(fault);
  fault.op = fault.trouble == Trouble::log_of_zero    ? "log"
             : fault.trouble == Trouble::zero_by_zero ? "div"
             : fault.trouble == Trouble::arc_cosine   ? "acos"
                                                      : "sqrt";
  fault.pass = fault.trouble == Trouble::root_at_zero ? Pass::backward : Pass::forward;
}

void draw_scale_overflow(Fault& fault, Dice& dice) {
  fault.precision = "fp16";
  fault.pass = Pass::backward;
  if (dice.between(0, 1) == 0) {
    fault.step = 1;
    fault.recipe = recipe_of("fp16", std::exp2(static_cast<double>(dice.between(26, 40))));
    return;
  }
  fault.trouble = Trouble::steep_gradient;
  fault.recipe = recipe_of("fp16", 65536);
  fault.module = block_name(fault);
  fault.op = "mul";
}

void draw_bad_data(Fault& fault, Dice& dice) {
  fault.bad_target = dice.between(0, 2) == 0;
  fault.bad_input = !fault.bad_target;
  if (fault.bad_target) return;
  fault.module = "in";
  fault.op = layer_op(fault);
}

}  // namespace

Fault draw(Verdict cause, std::mt19937_64& random) {
  Dice dice(random);
  Fault fault;
  fault.cause = cause;
  fault.seed = static_cast<std::uint64_t>(dice.between(1, 1'000'000));
  fault.family = dice.one_of<std::string>({"mlp", "cnn", "attention"});
  fault.blocks = dice.between(1, 5);
  fault.width = dice.one_of<std::int64_t>({8, 16, 32});
  fault.at = dice.between(0, fault.blocks - 1);
  fault.step = dice.between(1, 6);
  fault.precision = dice.one_of<std::string>({"fp32", "bf16", "fp16"});
  fault.recipe = recipe_of(fault.precision, dice.one_of<double>({0, 1024}));
  switch (cause) {
    case Verdict::forward_overflow:
      draw_forward_overflow(fault, dice);
      break;
    case Verdict::model_nan:
      draw_model_nan(fault, dice);
      break;
    case Verdict::scale_overflow:
      draw_scale_overflow(fault, dice);
      break;
    case Verdict::bad_data:
      draw_bad_data(fault, dice);
      break;
    case Verdict::underflow:
      fault.precision = "fp16";
      fault.recipe = recipe_of("fp16", 1);
      fault.loss_factor = std::pow(10.0, -static_cast<double>(dice.between(6, 8)));
      fault.steps = 24;
      break;
    case Verdict::divergence:
      fault.steps = 40;
      fault.learning_rate = std::pow(10.0, static_cast<double>(dice.between(2, 5)));
      break;
    case Verdict::throws:
    case Verdict::clean:
      fault.steps = 20;
      break;
  }
  return fault;
}

}  // namespace amp::faults
