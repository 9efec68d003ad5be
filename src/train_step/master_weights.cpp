// A model kept in low precision, and the fp32 masters that the optimizer works on.
#include "src/train_step/master_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <mutex>
#include <sstream>
#include <unordered_set>
#include <utility>

#include "amp/error.h"
#include "src/optim/low_precision.h"
#include "src/tensor_lists/content.h"

namespace amp::train_step {
namespace {

// Masters by the address of their weight, which their MasterWeights keeps alive.
struct Registry {
  std::mutex mutex;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> masters;
};

Registry& registry() {
  static auto* const kept = new Registry;  // models may die after statics do
  return *kept;
}

// `more` may be written to, `old` not.
at::Tensor sum_into(const at::Tensor& old, at::Tensor more) {
  const bool dense = old.layout() == c10::kStrided && more.layout() == c10::kStrided;
  if (dense) return more.add_(old);
  // A sparse tensor takes no dense one.
  return old.layout() != c10::kStrided ? at::add(more, old) : at::add(old, more);
}

}  // namespace

MasterWeights::MasterWeights(Collect model, const std::vector<torch::optim::Optimizer*>& optimizers,
                             const Recipe& recipe)
    : collect_(std::move(model)) {
  if (recipe.model_dtype == c10::kFloat) return;
  c10::NoGradGuard no_grad;
  convert(collect_(), recipe);
  if (!recipe.master_weights) {
    pairs_.clear();
    return;
  }
  adopted_ = recipe.model_dtype;
  for (auto* optimizer : optimizers) move_into(*optimizer);
  know(0);
}

void MasterWeights::know(std::size_t first) {
  // A weight that no optimizer steps needs no master.
  std::erase_if(pairs_, [](const Pair& pair) { return pair.owner == nullptr; });
  const std::lock_guard lock(registry().mutex);
  for (auto i = first; i < pairs_.size(); ++i) {
    pairs_[i].agree();
    registry().masters[pairs_[i].model.unsafeGetTensorImpl()] = pairs_[i].master;
  }
}

void MasterWeights::adopt(torch::optim::Optimizer& optimizer) {
  if (adopted_ == c10::ScalarType::Undefined) return;
  std::unordered_set<const c10::TensorImpl*> low;
  for (const auto& group : optimizer.param_groups()) {
    for (const auto& parameter : group.params()) {
      if (parameter.scalar_type() == adopted_) low.insert(parameter.unsafeGetTensorImpl());
    }
  }
  if (low.empty()) return;
  c10::NoGradGuard no_grad;
  const auto first = pairs_.size();
  for (const auto& item : collect_()) {
    if (!item.is_parameter || low.erase(item.tensor.unsafeGetTensorImpl()) == 0) continue;
    auto master = item.tensor.detach().to(c10::kFloat);
    pairs_.push_back(
        {.name = item.name, .model = item.tensor, .master = master.set_requires_grad(true)});
  }
  move_into(optimizer);
  know(first);
}

MasterWeights::~MasterWeights() {
  if (pairs_.empty()) return;
  const std::lock_guard lock(registry().mutex);
  for (const auto& pair : pairs_) registry().masters.erase(pair.model.unsafeGetTensorImpl());
}

// Keeps the full-precision values of what it converts; a tensor with two names is converted once.
void MasterWeights::convert(const std::vector<ModelTensor>& tensors, const Recipe& recipe) {
  std::unordered_set<const c10::TensorImpl*> seen;
  for (auto [name, tensor, is_parameter, in_batch_norm] : tensors) {
    if (!tensor.defined() || !tensor.is_floating_point()) continue;
    if (in_batch_norm && recipe.keep_batchnorm_fp32) continue;
    if (tensor.scalar_type() == recipe.model_dtype) continue;
    if (!seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    auto master = tensor.detach();  // shares the storage that set_data takes from the model
    tensor.mutable_grad().reset();
    tensor.set_data(master.to(recipe.model_dtype));
    if (is_parameter)
      pairs_.push_back({.name = name, .model = tensor, .master = master.set_requires_grad(true)});
  }
}

void MasterWeights::move_into(torch::optim::Optimizer& optimizer) {
  std::unordered_map<const c10::TensorImpl*, Pair*> pairs;
  for (auto& pair : pairs_) pairs[pair.model.unsafeGetTensorImpl()] = &pair;
  auto& state = optimizer.state();
  for (auto& group : optimizer.param_groups()) {
    for (auto& parameter : group.params()) {
      const auto found = pairs.find(parameter.unsafeGetTensorImpl());
      if (found == pairs.end()) continue;
      auto& pair = *found->second;
      if (const auto kept = state.find(parameter.unsafeGetTensorImpl()); kept != state.end()) {
        auto moved = std::move(kept->second);
        state.erase(kept);
        state[pair.master.unsafeGetTensorImpl()] = std::move(moved);
      }
      parameter = pair.master;
      if (pair.owner == nullptr) pair.owner = &optimizer;
    }
  }
}

bool MasterWeights::Pair::is_unlike() const {
  return model.scalar_type() != dtype || model.sizes() != master.sizes() ||
         model.device() != master.device() || lies_in_fp32();
}

// LibTorch's InputArchive gives the tensor the memory of what it read, and leaves its dtype. So
// each value of an fp32 file is then read as two of fp16.
bool MasterWeights::Pair::lies_in_fp32() const {
  if (data == model.const_data_ptr() || !model.has_storage()) return false;
  return model.storage_offset() == 0 && model.numel() > 0 && model.element_size() == 2 &&
         model.storage().nbytes() == static_cast<std::size_t>(model.numel()) * sizeof(float);
}

bool MasterWeights::Pair::is_changed() const {
  return is_unlike() || version != optim::version_of(model) || data != model.const_data_ptr() ||
         content != tensor_lists::content_of(model);
}

void MasterWeights::Pair::agree() {
  dtype = model.scalar_type();
  version = optim::version_of(model);
  data = model.const_data_ptr();
  content = tensor_lists::content_of(model);
}

void MasterWeights::Pair::follow() {
  if (model.sizes() != master.sizes() || model.device() != master.device()) {
    std::ostringstream message;
    message << "weights: '" << name << "' has become one of shape " << model.sizes() << " on "
            << model.device() << ", its fp32 master has " << master.sizes() << " on "
            << master.device()
            << "; make a new optimizer and a new TrainStep for the changed model";
    throw InvalidArgument(message.str());
  }
  if (model.scalar_type() == dtype && lies_in_fp32()) {
    throw InvalidArgument(
        "weights: '" + name + "' is " + c10::toString(dtype) +
        " and lies in memory of twice its size, as torch::load leaves it that reads an fp32 file "
        "into "
        "such a model; read the file before TrainStep or initialize, or into an fp32 model and "
        "from "
        "there by amp::load_weights (a view of larger memory: give it a clone())");
  }
  const auto now = model.detach();
  if (now.scalar_type() != dtype) {
    const auto low = now.to(dtype);
    // If the model was only converted and converted back, it has lost digits that its masters still
    // have.
    if (!master.to(dtype).equal(low) || !low.to(now.scalar_type()).equal(now)) master.copy_(now);
    model.set_data(low);
  } else {
    const auto unchanged = master.to(dtype) == now;
    master.copy_(at::where(unchanged, master, now.to(master.scalar_type())));
  }
  agree();
}

void MasterWeights::follow_model() {
  c10::NoGradGuard no_grad;
  for (auto& pair : pairs_) {
    if (pair.is_changed()) pair.follow();
  }
}

void MasterWeights::follow_dtypes() {
  c10::NoGradGuard no_grad;
  for (auto& pair : pairs_) {
    if (pair.is_unlike()) pair.follow();
  }
}

void MasterWeights::take_gradients(const torch::optim::Optimizer& optimizer) {
  c10::NoGradGuard no_grad;
  for (auto& pair : pairs_) {
    if (pair.owner != &optimizer) continue;
    auto& gradient = pair.model.mutable_grad();
    if (!gradient.defined()) continue;
    const auto widened = gradient.to(pair.master.scalar_type());
    auto& sum = pair.master.mutable_grad();
    sum = sum.defined() ? sum_into(sum, widened) : widened;
    gradient.reset();
  }
}

void MasterWeights::discard_gradients(const torch::optim::Optimizer& optimizer) {
  for (auto& pair : pairs_) {
    if (pair.owner == &optimizer) pair.model.mutable_grad().reset();
  }
}

void MasterWeights::write_back(const torch::optim::Optimizer& optimizer) {
  c10::NoGradGuard no_grad;
  for (auto& pair : pairs_) {
    if (pair.owner != &optimizer) continue;
    pair.model.copy_(pair.master);
    pair.agree();
  }
}

std::vector<ModelTensor> MasterWeights::values() {
  follow_model();
  std::unordered_map<const c10::TensorImpl*, at::Tensor> masters;
  for (const auto& pair : pairs_) masters[pair.model.unsafeGetTensorImpl()] = pair.master;
  auto values = collect_();
  for (auto& value : values) {
    if (const auto found = masters.find(value.tensor.unsafeGetTensorImpl()); found != masters.end())
      value.tensor = found->second;
  }
  return values;
}

at::Tensor master_of(const at::Tensor& weight) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.masters.find(weight.unsafeGetTensorImpl());
  return found == all.masters.end() ? at::Tensor() : found->second;
}

}  // namespace amp::train_step
