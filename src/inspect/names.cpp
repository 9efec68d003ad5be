// A model's modules and parameters by name.
#include "src/inspect/names.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "src/optim/weight_copies.h"

namespace amp::inspect {
namespace {

// "torch::nn::MaxPool2dImpl" as "maxpool2d".
std::string spelled(std::string type) {
  if (const auto colon = type.rfind(':'); colon != std::string::npos) type.erase(0, colon + 1);
  if (type.ends_with("Impl")) type.resize(type.size() - 4);
  std::erase(type, '_');
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type;
}

bool is_called(const ModuleNode& module, const std::string& op) {
  if (module.has_parameters || module.type.empty()) return false;
  const auto name = spelled(op);
  return name == module.type || (module.type.size() >= 4 && name.starts_with(module.type));
}

bool is_loss(const std::string& op) {
  return op.ends_with("_loss") || op.starts_with("nll_loss") ||
         op.starts_with("binary_cross_entropy") || op == "kl_div";
}

std::string type_of(const torch::nn::Module& module) { return spelled(module.name()); }
std::string type_of(const torch::jit::Module& module) {
  return spelled(module.type()->name()->name());
}

std::string key_of(const torch::OrderedDict<std::string, at::Tensor>::Item& item) {
  return item.key();
}
const at::Tensor& value_of(const torch::OrderedDict<std::string, at::Tensor>::Item& item) {
  return item.value();
}
std::string key_of(const torch::jit::NameTensor& item) { return item.name; }
at::Tensor value_of(const torch::jit::NameTensor& item) { return item.value; }

std::string key_of(
    const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>::Item& item) {
  return item.key();
}
const torch::nn::Module& value_of(
    const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>::Item& item) {
  return *item.value();
}
std::string key_of(const torch::jit::NameModule& item) { return item.name; }
torch::jit::Module value_of(const torch::jit::NameModule& item) { return item.value; }

const void* address_of(const torch::nn::Module& module) { return &module; }
const void* address_of(const torch::jit::Module&) { return nullptr; }

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

template <typename Module>
void Names::collect(const Module& module, int node) {
  const auto prefix = modules_[static_cast<std::size_t>(node)].name;
  if (const void* address = address_of(module)) by_address_.emplace(address, node);
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    add_parameter(joined(prefix, key_of(item)), value_of(item), node);
  for (const auto& child : module.named_children()) {
    const auto& inside = value_of(child);
    collect(inside, add_module(joined(prefix, key_of(child)), type_of(inside), node));
  }
}

Names::Names(const torch::nn::Module& model) : modules_{{"", type_of(model)}} {
  collect(model, kRoot);
}
Names::Names(const torch::jit::Module& model) : modules_{{"", type_of(model)}} {
  collect(model, kRoot);
}

Names::Names(const NamedTensors& parameters) : modules_{{"", ""}} {
  for (const auto& [name, tensor] : parameters) {
    int module = kRoot;
    for (auto dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
      const auto prefix = name.substr(0, dot);
      const auto known = module_named(prefix);
      module = known >= 0 ? known : add_module(prefix, "", module);
    }
    add_parameter(name, tensor, module);
  }
}

int Names::add_module(const std::string& name, const std::string& type, int parent) {
  const auto node = static_cast<int>(modules_.size());
  modules_.push_back({name, type, parent});
  modules_[static_cast<std::size_t>(parent)].children.push_back(node);
  return node;
}

void Names::add_parameter(const std::string& name, const at::Tensor& tensor, int module) {
  if (!tensor.defined()) return;
  const bool shared = std::ranges::any_of(
      parameters_, [&](const auto& known) { return known.tensor.is_same(tensor); });
  if (!shared) parameters_.push_back({name, tensor, module});
  for (int node = module; node >= 0; node = modules_[static_cast<std::size_t>(node)].parent)
    modules_[static_cast<std::size_t>(node)].has_parameters = true;
}

void Names::add(const NamedTensors& more) { more_.insert(more_.end(), more.begin(), more.end()); }

void Names::note_cast(const at::Tensor& cast, int parameter) {
  if (!cast.has_storage()) return;
  auto* memory = cast.storage().unsafeGetStorageImpl();
  const auto [place, is_new] = by_memory_.emplace(memory, parameter);
  if (is_new) {
    kept_.emplace_back(cast.storage().getWeakStorageImpl());
  } else if (place->second != parameter) {
    place->second = -1;
  }
}

void Names::locate() {
  by_tensor_.clear();
  by_memory_.clear();
  kept_.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& tensor = parameters_[i].tensor;
    const auto number = static_cast<int>(i);
    by_tensor_.emplace(tensor.unsafeGetTensorImpl(), number);
    note_cast(tensor, number);
    if (const auto copy = optim::weight_copies::peek(tensor); copy.defined())
      note_cast(copy, number);
  }
}

int Names::parameter_of(const at::Tensor& tensor) const {
  const auto found = by_tensor_.find(tensor.unsafeGetTensorImpl());
  if (found != by_tensor_.end()) return found->second;
  if (tensor.is_view()) {
    const auto base = by_tensor_.find(tensor._base().unsafeGetTensorImpl());
    if (base != by_tensor_.end()) return base->second;
  }
  if (!tensor.has_storage()) return -1;
  const auto memory = by_memory_.find(tensor.storage().unsafeGetStorageImpl());
  return memory == by_memory_.end() ? -1 : memory->second;
}

std::string Names::parameter_name(const at::Tensor& parameter) const {
  for (const auto& known : parameters_) {
    if (known.tensor.is_same(parameter)) return known.name;
  }
  for (const auto& [name, tensor] : more_) {
    const bool have_memory = tensor.has_storage() && parameter.has_storage();
    if (tensor.is_same(parameter) || (have_memory && tensor.is_alias_of(parameter))) return name;
  }
  std::ostringstream text;
  text << "a parameter of shape " << parameter.sizes();
  return text.str();
}

int Names::module_at(const void* address) const {
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? -1 : found->second;
}

int Names::module_named(const std::string& name) const {
  const auto found =
      std::ranges::find_if(modules_, [&](const auto& module) { return module.name == name; });
  return found == modules_.end() ? -1 : static_cast<int>(found - modules_.begin());
}

int Names::after(int last, const std::string& op) const {
  if (last < 0) return -1;
  const auto node = [&](int number) -> const ModuleNode& {
    return modules_[static_cast<std::size_t>(number)];
  };
  for (int child = last, around = node(last).parent; around >= 0;
       child = around, around = node(around).parent) {
    const auto& children = node(around).children;
    auto next = std::ranges::find(children, child);
    for (++next; next != children.end(); ++next) {
      if (is_called(node(*next), op)) return *next;
    }
  }
  return is_loss(op) ? kRoot : std::max(node(last).parent, kRoot);
}

std::string op_of_node(const std::string& name) {
  auto node = name.substr(name.rfind(' ') + 1);
  const auto backward = node.rfind("Backward");
  if (backward == std::string::npos || backward == 0) return node;
  node.resize(backward);
  std::string op;
  for (std::size_t i = 0; i < node.size(); ++i) {
    const auto letter = static_cast<unsigned char>(node[i]);
    if (std::isupper(letter) != 0 && i > 0 && node[i - 1] != '_') op += '_';
    op += static_cast<char>(std::tolower(letter));
  }
  return op;
}

}  // namespace amp::inspect
