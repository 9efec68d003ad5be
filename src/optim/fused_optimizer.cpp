// FusedOptimizer: the interface of torch::optim around a Step.
#include "amp/optim/fused_optimizer.h"

#include <c10/core/GradMode.h>

#include <utility>

#include "amp/error.h"
#include "src/optim/low_precision.h"
#include "src/optim/state_archive.h"
#include "src/optim/step.h"
#include "src/optim/weight_copies.h"

namespace amp::optim {
namespace {

void check_scalar(const char* name, const char* field, const at::Tensor& tensor, bool required) {
  if (!tensor.defined() && !required) return;
  if (tensor.defined() && tensor.numel() == 1 && tensor.scalar_type() == c10::kFloat) return;
  throw InvalidArgument(std::string(name) + ": " + field +
                        " must be one fp32 element, as GradScaler gives it");
}

// The memory options of a group, which must stay, and the parameter by which the group is
// recognised.
struct KnownGroup {
  const c10::TensorImpl* first = nullptr;
  MemoryOptions memory;
};

const c10::TensorImpl* first_of(const torch::optim::OptimizerParamGroup& group) {
  return group.params().empty() ? nullptr : group.params()[0].unsafeGetTensorImpl();
}

// Makes our options from torch::optim's. Throws InvalidArgument for those of another algorithm.
std::unique_ptr<OptimizerOptions> adopted(const Algorithm& algorithm, const OptimizerOptions& given,
                                          const OptimizerOptions& defaults,
                                          const MemoryOptions& memory, std::size_t group) {
  const auto where = algorithm.name() + (": group " + std::to_string(group));
  auto own = algorithm.adopted(given, defaults, memory, where);
  if (own == nullptr) refuse_options(algorithm, given, group);
  return own;
}

// Makes the options of the group ours if they are torch::optim's, and takes over what was written
// into them.
void settle_group(const Algorithm& algorithm, const OptimizerOptions& defaults,
                  const std::vector<KnownGroup>& known, torch::optim::OptimizerParamGroup& group,
                  std::size_t number) {
  if (!group.has_options()) group.set_options(defaults.clone());
  if (algorithm.takes(group.options())) {
    algorithm.settle(group.options(), number);
    return;
  }
  const bool is_known = number < known.size() && known[number].first == first_of(group);
  const auto& memory = is_known ? known[number].memory : algorithm.memory(defaults);
  group.set_options(adopted(algorithm, group.options(), defaults, memory, number));
}

}  // namespace

struct FusedOptimizer::Impl {
  std::unique_ptr<Algorithm> algorithm;
  Step step;
  std::vector<KnownGroup> known;
};

FusedOptimizer::FusedOptimizer(std::unique_ptr<Algorithm> algorithm,
                               std::vector<torch::optim::OptimizerParamGroup> groups,
                               std::unique_ptr<OptimizerOptions> defaults)
    : Optimizer(std::vector<torch::optim::OptimizerParamGroup>(), std::move(defaults)),
      impl_(std::make_unique<Impl>()) {
  impl_->algorithm = std::move(algorithm);
  bool empty = true;
  for (const auto& group : groups) {
    add_param_group(group);
    empty = empty && group.params().empty();
  }
  if (!empty) return;
  throw InvalidArgument(std::string(impl_->algorithm->name()) +
                        ": there is no parameter to train; pass model->parameters()");
}

FusedOptimizer::~FusedOptimizer() = default;
FusedOptimizer::FusedOptimizer(FusedOptimizer&&) noexcept = default;
FusedOptimizer& FusedOptimizer::operator=(FusedOptimizer&&) noexcept = default;

void FusedOptimizer::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  settle();
  const auto& algorithm = *impl_->algorithm;
  const auto number = param_groups_.size();
  torch::optim::OptimizerParamGroup added(group.params(), defaults_->clone());
  if (group.has_options()) {
    const auto& given = group.options();
    added.set_options(algorithm.takes(given) ? given.clone()
                                             : adopted(algorithm, given, *defaults_,
                                                       algorithm.memory(*defaults_), number));
  }
  algorithm.settle(added.options(), number);
  optim::check_group(algorithm, added, number);
  // Needs a vector of its own, because groups have no copy assignment.
  std::vector<torch::optim::OptimizerParamGroup> all(param_groups_.begin(), param_groups_.end());
  all.push_back(added);
  check_distinct(algorithm, all);
  Optimizer::add_param_group(added);
  impl_->step.track_parameters({*impl_->algorithm, param_groups_, state_});
  settle();
}

// Users may write the options of groups at any time, also through torch::optim's types.
void FusedOptimizer::settle() const {
  auto& groups = const_cast<FusedOptimizer*>(this)->param_groups_;
  for (std::size_t g = 0; g < groups.size(); ++g)
    settle_group(*impl_->algorithm, *defaults_, impl_->known, groups[g], g);
  impl_->known.resize(groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g)
    impl_->known[g] = {first_of(groups[g]), impl_->algorithm->memory(groups[g].options())};
}

at::Tensor FusedOptimizer::step(LossClosure closure) {
  at::Tensor loss;
  if (closure) {
    at::AutoGradMode enable_grad(true);
    loss = closure();
  }
  at::NoGradGuard no_grad;
  settle();
  impl_->step.run({*impl_->algorithm, param_groups_, state_}, {});
  return loss;
}

StepOutcome FusedOptimizer::fused_step(const FusedStepOptions& options) {
  const auto* name = impl_->algorithm->name();
  check_scalar(name, "inv_scale", options.inv_scale, false);
  if (!(options.max_grad_norm >= 0))
    throw InvalidArgument(std::string(name) + ": max_grad_norm must be >= 0, got " +
                          std::to_string(options.max_grad_norm) + "; 0 does not clip");
  at::NoGradGuard no_grad;
  settle();
  return impl_->step.run({*impl_->algorithm, param_groups_, state_},
                         {.inv_scale = options.inv_scale,
                          .found_inf = {},
                          .max_grad_norm = options.max_grad_norm,
                          .give_back = options.write_back_gradients});
}

StepOutcome FusedOptimizer::examine(const at::Tensor& inv_scale) {
  check_scalar(impl_->algorithm->name(), "inv_scale", inv_scale, false);
  at::NoGradGuard no_grad;
  settle();
  return impl_->step.run({*impl_->algorithm, param_groups_, state_},
                         {.inv_scale = inv_scale, .found_inf = {}, .update = false});
}

const std::vector<at::Tensor>& FusedOptimizer::non_finite_parameters() const {
  return impl_->step.non_finite();
}

void FusedOptimizer::scaled_step(const at::Tensor& inv_scale, const at::Tensor& found_inf) {
  check_scalar(impl_->algorithm->name(), "inv_scale", inv_scale, true);
  check_scalar(impl_->algorithm->name(), "found_inf", found_inf, true);
  at::NoGradGuard no_grad;
  settle();
  impl_->step.run({*impl_->algorithm, param_groups_, state_},
                  {.inv_scale = inv_scale, .found_inf = found_inf, .give_back = true});
}

at::Tensor FusedOptimizer::fp32_weight(const at::Tensor& parameter) const {
  at::NoGradGuard no_grad;
  settle();
  for (const auto& group : param_groups_) {
    for (const auto& own : group.params()) {
      if (!own.is_same(parameter)) continue;
      const auto found = state_.find(own.unsafeGetTensorImpl());
      const ParameterState none;
      const auto& state =
          found == state_.end() ? none : static_cast<const ParameterState&>(*found->second);
      const auto& memory = impl_->algorithm->memory(group.options());
      return value_of(own, state, memory).to(c10::kFloat, false, /*copy=*/true);
    }
  }
  throw InvalidArgument(std::string(impl_->algorithm->name()) +
                        ": fp32_weight() takes a parameter of this optimizer");
}

std::int64_t FusedOptimizer::copy_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& group : param_groups_) {
    for (const auto& parameter : group.params()) bytes += weight_copies::bytes_of(parameter);
  }
  return bytes;
}

void FusedOptimizer::save(OutputArchive& archive) const {
  settle();
  save_state(*impl_->algorithm, param_groups_, state_, archive);
}

void FusedOptimizer::load(InputArchive& archive) {
  settle();
  load_state(*impl_->algorithm, param_groups_, state_, archive);
  impl_->step.forget_parameters();
}

void FusedOptimizer::check_group(std::size_t group) const {
  if (group < param_groups_.size()) return;
  throw InvalidArgument(std::string(impl_->algorithm->name()) + ": there is no group " +
                        std::to_string(group) + "; it has " + std::to_string(param_groups_.size()));
}

}  // namespace amp::optim
