// One replay of a micro-batch, or of some steps.
#include "src/experiment/play.h"

#include <ATen/Context.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "amp/inspect.h"
#include "src/experiment/replayed_scale.h"
#include "src/experiment/wide_mode.h"

namespace amp::experiment {
namespace {

bool all_finite(const at::Tensor& tensor) {
  const auto& values = tensor.is_sparse() ? tensor._values() : tensor;
  return at::isfinite(values).all().item<bool>();
}

double squares(const at::Tensor& tensor) {
  const auto dense = (tensor.is_sparse() ? tensor.to_dense() : tensor).detach().to(at::kDouble);
  return at::nan_to_num(dense, 0, 0, 0).square().sum().item<double>();
}

bool is_trained(const Weight& weight) { return weight.is_parameter && weight.own.requires_grad(); }

struct Cancelled {};

class Play {
 public:
  Play(const Subject& subject, const State& state, const std::vector<const KeptBatch*>& batches,
       const Variation& variation)
      : subject_(subject),
        batches_(batches),
        variation_(variation),
        recipe_(variation.recipe.has_value() ? subject.bind(*variation.recipe)
                                             : subject.train_step->recipe()),
        borrowed_(subject, state, dtype_of(variation), variation.steps > 0),
        scale_(recipe_, state, variation) {
    if (variation.eval) subject.set_modes(std::vector<bool>(state.modes.size(), false));
    if (variation.perturb.has_value()) perturb(*variation.perturb);
    widening_ = {variation.wide.value_or(c10::ScalarType::Undefined),
                 variation.wide_ops,
                 low_dtype(),
                 variation.narrow_calls,
                 variation.find_constants ? &outcome_.flushed_constants : nullptr,
                 nullptr,
                 &subject.drawn,
                 [this](const at::Tensor& tensor) { return parameter_name(tensor); }};
  }

  Outcome run() {
    outcome_.played = true;
    try {
      if (variation_.steps == 0) {
        micro_batch(*batches_.front(), 1);
        look_at_gradients();
      } else {
        steps();
      }
    } catch (const Cancelled&) {
      outcome_ = {};
    } catch (...) {
      outcome_.thrown = thrown_of(std::current_exception());
    }
    outcome_.final_scale = scale_.value();
    return std::move(outcome_);
  }

 private:
  static std::optional<c10::ScalarType> dtype_of(const Variation& variation) {
    if (variation.wide.has_value() && variation.wide_ops.empty()) return variation.wide;
    if (variation.recipe.has_value()) return c10::kFloat;
    return std::nullopt;
  }

  std::string parameter_name(const at::Tensor& tensor) const {
    for (const auto& weight : borrowed_.weights()) {
      if (weight.is_parameter && weight.own.is_same(tensor)) return weight.name;
    }
    return {};
  }

  c10::ScalarType low_dtype() const {
    const auto& trained = subject_.train_step->recipe();
    if (trained.compute_dtype != c10::kFloat) return trained.compute_dtype;
    return trained.model_dtype != c10::kFloat ? trained.model_dtype : subject_.own_low;
  }

  // At most an ulp of fp32 each.
  void perturb(std::uint64_t seed) {
    const c10::NoGradGuard no_grad;
    for (const auto& weight : borrowed_.weights()) {
      if (!is_trained(weight)) continue;
      const auto generator = generator_of(seed++, weight.own.device());
      const auto sign = at::rand(weight.own.sizes(), generator, weight.own.options()).sub_(0.5);
      weight.own.data().mul_(sign.mul_(0x1p-22).add_(1));
    }
  }
  static std::optional<at::Generator> generator_of(std::uint64_t seed, c10::Device device) {
    if (!device.is_cpu()) return std::nullopt;
    auto generator = at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(seed);
    return generator;
  }

  at::Tensor loss_of(const KeptBatch& batch) {
    auto inputs = batch.inputs;
    if (!variation_.samples.empty()) {
      const auto which = at::tensor(variation_.samples);
      for (auto& input : inputs) input = at::index_select(input, 0, which.to(input.device()));
    }
    // Without autocast nothing casts between low-precision inputs and fp32 weights.
    if (variation_.recipe.has_value() && recipe_.compute_dtype == c10::kFloat) {
      for (auto& input : inputs) {
        if (input.is_floating_point() && input.scalar_type() != c10::kDouble)
          input = input.to(c10::kFloat);
      }
    }
    const auto device = borrowed_.weights().front().own.device().type();
    widening_.calls = variation_.find_calls && outcome_.losses.empty() ? &outcome_.calls : nullptr;
    std::optional<WideMode> mode;
    if (variation_.wide.has_value() || variation_.find_constants || variation_.find_calls)
      mode.emplace(widening_);
    if (is_wide_throughout(variation_)) return batch.loss(inputs);
    const auto region = recipe_.autocast(device);
    return batch.loss(inputs);
  }

  bool is_cancelled() const { return subject_.is_cancelled && subject_.is_cancelled(); }

  void micro_batch(const KeptBatch& batch, std::int64_t accumulation) {
    if (is_cancelled()) throw Cancelled();
    const bool is_first = outcome_.losses.empty();
    auto* inspector = is_first ? variation_.inspector : nullptr;
    if (inspector != nullptr) inspector->begin_step(batch.step, scale_.value());
    try {
      const c10::AutoGradMode with_gradients(!variation_.eval || variation_.steps > 0);
      const auto loss = loss_of(batch);
      outcome_.losses.push_back(loss.detach().to(at::kDouble).item<double>());
      outcome_.finite_loss &= std::isfinite(outcome_.losses.back());
      if (loss.requires_grad())
        loss.mul(scale_.value() / static_cast<double>(accumulation)).backward();
    } catch (...) {
      if (inspector != nullptr) inspector->fail_step(std::current_exception());
      throw;
    }
    if (inspector != nullptr) inspector->end_step(false);
  }

  // Notes whether each gradient is finite, and the names of those that are not, if none were found
  // before.
  bool check_gradients() {
    bool finite = true;
    std::vector<std::string> names;
    for (const auto& weight : borrowed_.weights()) {
      const auto& gradient = weight.own.grad();
      if (!is_trained(weight) || !gradient.defined() || all_finite(gradient)) continue;
      names.push_back(weight.name);
      finite = false;
    }
    if (outcome_.non_finite.empty()) outcome_.non_finite = std::move(names);
    return finite;
  }

  void note_missing_gradients() {
    for (const auto& weight : borrowed_.weights()) {
      if (is_trained(weight) && !weight.own.grad().defined())
        outcome_.without_gradient.push_back(weight.name);
    }
  }

  void look_at_gradients() {
    note_missing_gradients();
    outcome_.finite_gradients &= check_gradients();
    double sum = 0;
    for (const auto& weight : borrowed_.weights()) {
      const auto& gradient = weight.own.grad();
      if (!is_trained(weight) || !gradient.defined()) continue;
      sum += squares(gradient);
      if (!variation_.keep_gradients) continue;
      const auto dense = gradient.is_sparse() ? gradient.to_dense() : gradient;
      outcome_.gradients.emplace_back(weight.name,
                                      dense.detach().to(at::kDouble).div(scale_.value()));
    }
    outcome_.gradient_norm = std::sqrt(sum) / scale_.value();
  }

  NamedTensors buffers() const {
    NamedTensors found;
    for (const auto& weight : borrowed_.weights()) {
      if (!weight.is_parameter && weight.own.is_floating_point())
        found.emplace_back(weight.name, weight.own.detach().to(at::kDouble, false, /*copy=*/true));
    }
    return found;
  }

  void steps() {
    const auto before = values();
    outcome_.buffers_before = buffers();
    for (const auto& weight : borrowed_.weights()) {
      const auto& own = weight.own;
      if (!weight.is_parameter && own.is_floating_point() && own.element_size() < 4)
        outcome_.low_buffers.push_back(weight.name);
    }
    auto& optimizer = borrowed_.optimizer();
    for (auto& group : optimizer.param_groups())
      group.options().set_lr(group.options().get_lr() * variation_.learning_rate);
    std::size_t next = 0;
    for (std::int64_t step = 0; step < variation_.steps; ++step) {
      for (std::int64_t i = 0; i < recipe_.accumulation; ++i) {
        micro_batch(*batches_[next], recipe_.accumulation);
        if (!variation_.same_batch) next = (next + 1) % batches_.size();
      }
      if (step == 0) {
        const bool was_finite = outcome_.finite_gradients;
        look_at_gradients();
        if (scale_.skips()) outcome_.finite_gradients = was_finite;  // it finds its place
      }
      take_step(optimizer);
    }
    compare(before);
  }

  void take_step(torch::optim::Optimizer& optimizer) {
    const c10::NoGradGuard no_grad;
    const bool finite = check_gradients();
    outcome_.finite_gradients &= finite || scale_.skips();
    const bool skip = !finite && scale_.skips();
    if (!skip) {
      hand_over();
      clip();
      optimizer.step();
      copy_back();
    }
    outcome_.skipped += skip ? 1 : 0;
    scale_.update(skip);
    for (const auto& weight : borrowed_.weights()) {
      weight.own.mutable_grad() = at::Tensor();
      weight.full.mutable_grad() = at::Tensor();
    }
  }

  // Gives the unscaled gradients to the tensors that the optimizer steps.
  void hand_over() {
    for (const auto& weight : borrowed_.weights()) {
      const auto gradient = weight.own.grad();
      if (!is_trained(weight) || !gradient.defined()) continue;
      auto unscaled = gradient.div(scale_.value());
      if (weight.full.is_same(weight.own)) {
        weight.own.mutable_grad() = unscaled;
      } else {
        weight.full.mutable_grad() = unscaled.to(weight.full.scalar_type());
        weight.own.mutable_grad() = at::Tensor();
      }
    }
  }

  void clip() {
    if (recipe_.max_grad_norm <= 0) return;
    double sum = 0;
    for (const auto& weight : borrowed_.weights()) {
      if (weight.full.grad().defined()) sum += squares(weight.full.grad());
    }
    const double factor = recipe_.max_grad_norm / (std::sqrt(sum) + 1e-6);
    if (factor >= 1) return;
    for (const auto& weight : borrowed_.weights()) {
      if (weight.full.grad().defined()) weight.full.mutable_grad().mul_(factor);
    }
  }

  // Copies the masters' values into the model.
  void copy_back() {
    for (const auto& weight : borrowed_.weights()) {
      if (!weight.full.is_alias_of(weight.own)) weight.own.data().copy_(weight.full);
    }
  }

  std::vector<at::Tensor> values() const {
    std::vector<at::Tensor> values;
    for (const auto& weight : borrowed_.weights())
      values.push_back(is_trained(weight) ? weight.full.detach().clone() : at::Tensor());
    return values;
  }

  void compare(const std::vector<at::Tensor>& before) {
    double moved = 0, size = 0;
    std::int64_t still = 0, all = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (!before[i].defined()) continue;
      const auto now = borrowed_.weights()[i].full.detach();
      outcome_.finite_weights &= all_finite(now);
      const auto move = now.to(at::kDouble).sub(before[i].to(at::kDouble));
      moved += squares(move);
      if (variation_.keep_gradients) outcome_.moves.emplace_back(borrowed_.weights()[i].name, move);
      size += squares(before[i]);
      still += now.eq(before[i]).sum().item<std::int64_t>();
      all += now.numel();
    }
    outcome_.buffers = buffers();
    outcome_.weights_still = static_cast<double>(still) / std::max(1.0, static_cast<double>(all));
    outcome_.weights_moved = size > 0 ? std::sqrt(moved / size) : std::sqrt(moved);
  }

  const Subject& subject_;
  const std::vector<const KeptBatch*>& batches_;
  const Variation& variation_;
  const Recipe recipe_;
  Borrowed borrowed_;
  ReplayedScale scale_;
  Outcome outcome_;
  Widening widening_;
};

}  // namespace

Outcome played(const Subject& subject, const State& state,
               const std::vector<const KeptBatch*>& batches, const Variation& variation) {
  return Play(subject, state, batches, variation).run();
}

}  // namespace amp::experiment
