// Copies of a training's state, and putting them in its place.
#include "src/experiment/state.h"

#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/serialize/archive.h>

#include <map>
#include <mutex>
#include <unordered_set>

#include "amp/error.h"
#include "amp/optim.h"
#include "src/recipe/bound.h"

namespace amp::experiment {
namespace {

std::string saved(torch::optim::Optimizer& optimizer) {
  std::string bytes;
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  archive.save_to([&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return size;
  });
  return bytes;
}

at::Tensor copied(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().clone() : at::Tensor();
}

// The optimizer's tensor that has this memory.
at::Tensor stepped(const Subject& subject, const at::Tensor& master) {
  for (const auto& group : subject.train_step->optimizer().param_groups()) {
    for (const auto& parameter : group.params()) {
      if (parameter.is_alias_of(master)) return parameter;
    }
  }
  return master;
}

template <typename Stock, typename Options>
std::unique_ptr<torch::optim::Optimizer> stock_with(torch::optim::Optimizer& optimizer) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (auto& group : optimizer.param_groups())
    groups.emplace_back(group.params(),
                        std::make_unique<Options>(static_cast<Options&>(group.options())));
  return std::make_unique<Stock>(groups,
                                 static_cast<Options&>(optimizer.param_groups()[0].options()));
}

// LibTorch's optimizer with the same options; null if it has none.
std::unique_ptr<torch::optim::Optimizer> stock_of(torch::optim::Optimizer& optimizer) {
  namespace stock = torch::optim;
  if (dynamic_cast<optim::AdamW*>(&optimizer) != nullptr)
    return stock_with<stock::AdamW, stock::AdamWOptions>(optimizer);
  if (dynamic_cast<optim::Adam*>(&optimizer) != nullptr)
    return stock_with<stock::Adam, stock::AdamOptions>(optimizer);
  if (dynamic_cast<optim::SGD*>(&optimizer) != nullptr)
    return stock_with<stock::SGD, stock::SGDOptions>(optimizer);
  return nullptr;
}

template <typename Module, typename IsTraining, typename Train>
void add_modes(Subject& subject, std::vector<Module> modules, IsTraining is_training, Train train) {
  subject.modes = [modules, is_training] {
    std::vector<bool> modes;
    for (const auto& module : modules) modes.push_back(is_training(module));
    return modes;
  };
  subject.set_modes = [modules, train](const std::vector<bool>& modes) {
    for (std::size_t i = 0; i < modules.size(); ++i) train(modules[i], modes[i]);
  };
}

}  // namespace

Subject subject_of(torch::nn::Module& model, TrainStep& train_step) {
  Subject subject{train_step::model_of(model),
                  {},
                  {},
                  [&model](const Recipe& recipe) { return bound(recipe, model); },
                  &train_step};
  std::vector<torch::nn::Module*> modules = {&model};
  // Their own pointers: the model itself may be on the stack.
  const std::function<void(torch::nn::Module&)> collect = [&](torch::nn::Module& module) {
    for (const auto& child : module.children()) {
      modules.push_back(child.get());
      collect(*child);
    }
  };
  collect(model);
  // train() also reaches the children. So parents come first, and then each child gets its own
  // mode.
  add_modes(
      subject, modules, [](const torch::nn::Module* module) { return module->is_training(); },
      [](torch::nn::Module* module, bool on) { module->train(on); });
  return subject;
}

Subject subject_of(torch::jit::Module& model, TrainStep& train_step) {
  Subject subject{train_step::model_of(model),
                  {},
                  {},
                  [model](const Recipe& recipe) { return bound(recipe, model); },
                  &train_step};
  std::vector<torch::jit::Module> modules;
  for (const auto& module : model.modules()) {
    if (module.hasattr("training")) modules.push_back(module);
  }
  add_modes(
      subject, modules,
      [](const torch::jit::Module& module) { return module.attr("training").toBool(); },
      [](torch::jit::Module module, bool on) { module.setattr("training", on); });
  return subject;
}

std::vector<Weight> weights_of(const Subject& subject) {
  std::map<std::string, at::Tensor> full;
  for (const auto& [name, tensor] : subject.train_step->weights()) full.emplace(name, tensor);
  std::vector<Weight> weights;
  std::unordered_set<const c10::TensorImpl*> known;
  for (const auto& tensor : subject.model.tensors()) {
    if (!tensor.tensor.defined() || !known.insert(tensor.tensor.unsafeGetTensorImpl()).second)
      continue;
    const auto found = full.find(tensor.name);
    const bool has_master =
        tensor.is_parameter && found != full.end() && !found->second.is_alias_of(tensor.tensor);
    weights.push_back({tensor.name, tensor.tensor,
                       has_master ? stepped(subject, found->second) : tensor.tensor,
                       tensor.is_parameter});
  }
  return weights;
}

Generators generators_of(c10::Device device) {
  Generators generators;
  std::vector<c10::Device> devices = {c10::kCPU};
  if (!device.is_cpu()) devices.push_back(device);
  for (const auto& one : devices) {
    auto generator = at::globalContext().defaultGenerator(one);
    const std::lock_guard lock(generator.mutex());
    generators.states.emplace_back(one, generator.get_state());
  }
  return generators;
}

void put(const Generators& generators) {
  for (const auto& [device, state] : generators.states) {
    auto generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state);
  }
}

std::int64_t State::bytes() const {
  auto sum = static_cast<std::int64_t>(optimizer.size());
  for (const auto* list : {&own, &full}) {
    for (const auto& tensor : *list)
      sum += tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
  }
  return sum;
}

State state_of(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  State state;
  c10::Device device = c10::kCPU;
  for (const auto& weight : weights_of(subject)) {
    state.own.push_back(copied(weight.own));
    state.full.push_back(weight.full.is_same(weight.own) ? at::Tensor() : copied(weight.full));
    device = weight.own.device();
  }
  auto& train_step = *subject.train_step;
  state.optimizer = saved(train_step.optimizer());
  state.modes = subject.modes();
  state.scale = train_step.scaler().get_scale();
  if (train_step.recipe().loss_scaling == LossScaling::dynamic)
    state.scaler = train_step.scaler().state_dict();
  state.generators = generators_of(device);
  return state;
}

// LibTorch's load does not clear the state of parameters that had none.
void load_optimizer(torch::optim::Optimizer& optimizer, const std::string& bytes) {
  optimizer.state().clear();
  torch::serialize::InputArchive archive;
  archive.load_from(bytes.data(), bytes.size());
  optimizer.load(archive);
}

Borrowed::Borrowed(const Subject& subject, const State& state, std::optional<c10::ScalarType> dtype,
                   bool with_optimizer)
    : subject_(subject),
      weights_(weights_of(subject)),
      modes_(subject.modes()),
      with_optimizer_(with_optimizer) {
  if (weights_.size() != state.own.size())
    throw StateError("Experiment: the model has other parameters or buffers than when it was kept");
  const c10::NoGradGuard no_grad;
  generators_ = generators_of(weights_.empty() ? c10::kCPU : weights_[0].own.device());
  if (with_optimizer_) optimizer_ = saved(subject.train_step->optimizer());
  for (auto& weight : weights_) {
    aside_.push_back(
        {weight.own.detach(), weight.full.detach(), weight.own.grad(), weight.full.grad()});
    weight.own.mutable_grad() = at::Tensor();
    weight.full.mutable_grad() = at::Tensor();
  }
  try {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      auto& weight = weights_[i];
      const bool has_master = state.full[i].defined();
      auto value = dtype.has_value() && has_master ? state.full[i] : state.own[i];
      value = dtype.has_value() && value.is_floating_point() && value.scalar_type() != *dtype
                  ? value.to(*dtype)
                  : value.clone();
      weight.own.set_data(value);
      if (has_master) weight.full.set_data(dtype.has_value() ? value : state.full[i].clone());
    }
    if (with_optimizer_) begin_optimizer(state, dtype.has_value());
    subject.set_modes(state.modes);
    put(state.generators);
  } catch (...) {
    put_back();
    throw;
  }
}

Borrowed::~Borrowed() { put_back(); }

// The state of low-precision weights does not fit fp32 weights. Then LibTorch's optimizer begins
// anew.
void Borrowed::begin_optimizer(const State& state, bool converted) {
  auto& own = subject_.train_step->optimizer();
  try {
    load_optimizer(own, state.optimizer);
  } catch (const std::exception&) {
    if (converted) stock_ = stock_of(own);
    if (stock_ == nullptr) throw;
  }
}

torch::optim::Optimizer& Borrowed::optimizer() const {
  return stock_ != nullptr ? *stock_ : subject_.train_step->optimizer();
}

void Borrowed::put_back() noexcept {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < aside_.size(); ++i) {
    auto& weight = weights_[i];
    weight.own.mutable_grad() = at::Tensor();
    weight.full.mutable_grad() = at::Tensor();
    weight.own.set_data(aside_[i].own);
    if (!weight.full.is_same(weight.own)) weight.full.set_data(aside_[i].full);
    weight.own.mutable_grad() = aside_[i].own_gradient;
    weight.full.mutable_grad() = aside_[i].full_gradient;
  }
  if (with_optimizer_ && !optimizer_.empty())
    load_optimizer(subject_.train_step->optimizer(), optimizer_);
  subject_.set_modes(modes_);
  put(generators_);
}

}  // namespace amp::experiment
