// Rules by module.
#include "src/op_policy/module_rules.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <algorithm>

#include "amp/error.h"
#include "src/text/suggest.h"

namespace amp {
namespace op_policy {
namespace {

// `*` and `?` as above; on a mismatch the last star takes one character more.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, begin = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      begin = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++begin;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string_view without_star(std::string_view pattern) {
  return pattern.ends_with(".*") ? pattern.substr(0, pattern.size() - 2) : pattern;
}

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

int add_module(ModelNames& into, const std::string& name) {
  into.modules.push_back(name);
  return static_cast<int>(into.modules.size()) - 1;
}

void add_tensor(ModelNames& into, const at::Tensor& tensor, int module) {
  if (tensor.defined()) into.tensors.push_back({WeakTensor(tensor.getIntrusivePtr()), module});
}

void collect(const torch::nn::Module& module, const std::string& name, ModelNames& into) {
  const int number = add_module(into, name);
  const auto alive = module.weak_from_this();
  into.by_address.emplace(&module, BoundModule{number, !alive.expired(), alive});
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    add_tensor(into, item.value(), number);
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    add_tensor(into, item.value(), number);
  for (const auto& child : module.named_children())
    collect(*child.value(), joined(name, child.key()), into);
}

void collect(const torch::jit::Module& module, const std::string& name, ModelNames& into) {
  const int number = add_module(into, name);
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    add_tensor(into, item.value, number);
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    add_tensor(into, item.value, number);
  for (const auto& child : module.named_children())
    collect(child.value, joined(name, child.name), into);
}

template <typename Module>
std::shared_ptr<const ModelNames> names_of(const Module& model) {
  auto names = std::make_shared<ModelNames>();
  collect(model, "", *names);
  return names;
}

[[noreturn]] void refuse_pattern(const std::string& pattern, const ModelNames& names) {
  std::vector<std::string> inside(names.modules.begin() + 1, names.modules.end());
  std::string near = inside.empty() ? "; the model has no modules inside, '*' means all of it"
                                    : text::suggestion(std::string(without_star(pattern)), inside);
  if (near.size() > 300) near = near.substr(0, near.rfind(',', 300)) + ", ...";
  throw InvalidArgument("OpPolicy: no module of the model is meant by '" + pattern + "'" + near);
}

int last_rule(const Table& table, const std::string& module) {
  int found = kNoRule;
  for (std::size_t i = 0; i < table.modules.size(); ++i)
    if (means(table.modules[i].pattern, module)) found = static_cast<int>(i);
  return found;
}

bool is_bound(const Table& table, const ModelNames& names) {
  if (table.model == nullptr) return false;
  return std::ranges::all_of(names.tensors, [&](const BoundTensor& bound) {
    return table.model->rule_of_tensor.contains(bound.tensor._unsafe_get_target());
  });
}

}  // namespace

bool means(const std::string& pattern, const std::string& module) {
  const auto whole = without_star(pattern);
  for (std::string_view name = module;;) {
    if (matches(pattern, name) || matches(whole, name)) return true;
    if (name.empty()) return false;
    const auto dot = name.rfind('.');
    name = name.substr(0, dot == std::string_view::npos ? 0 : dot);
  }
}

void bind_names(Table& table, std::shared_ptr<const ModelNames> names) {
  for (const auto& rule : table.modules) {
    const auto meant = [&](const std::string& module) { return means(rule.pattern, module); };
    if (std::ranges::none_of(names->modules, meant)) refuse_pattern(rule.pattern, *names);
  }
  auto model = std::make_shared<BoundModel>();
  for (const auto& module : names->modules)
    model->rule_of_module.push_back(last_rule(table, module));
  for (const auto& bound : names->tensors) {
    const int rule = model->rule_of_module[static_cast<std::size_t>(bound.module)];
    auto& known =
        model->rule_of_tensor.try_emplace(bound.tensor._unsafe_get_target(), kNoRule).first->second;
    known = std::max(known, rule);
  }
  model->names = std::move(names);
  table.model = std::move(model);
}

int rule_of_scope(const Table& table, const ModuleScope& scope) {
  if (scope.module() == nullptr) return last_rule(table, scope.name());
  int found = kNoRule;
  if (table.model == nullptr) return found;
  const auto [first, last] = table.model->names->by_address.equal_range(scope.module());
  for (auto place = first; place != last; ++place) {
    const auto& bound = place->second;
    if (bound.is_owned && bound.alive.expired()) continue;
    found = std::max(found, table.model->rule_of_module[static_cast<std::size_t>(bound.module)]);
  }
  return found;
}

Memory::Memory(const BoundModel& model) {
  for (const auto& bound : model.names->tensors) {
    const auto tensor = bound.tensor.lock();
    const bool has_memory = tensor.defined() && tensor->has_storage();
    auto* storage = has_memory ? tensor->storage().unsafeGetStorageImpl() : nullptr;
    storages_.push_back(storage);
    if (storage == nullptr) continue;
    kept_.emplace_back(tensor->storage().getWeakStorageImpl());
    const int rule = model.rule_of_tensor.at(tensor.get());
    const auto [place, is_new] = rules_.emplace(storage, rule);
    if (!is_new && place->second != rule) place->second = kNoRule;
  }
}

bool Memory::is_current(const BoundModel& model) const {
  const auto& tensors = model.names->tensors;
  if (storages_.size() != tensors.size()) return false;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto tensor = tensors[i].tensor.lock();
    const bool has_memory = tensor.defined() && tensor->has_storage();
    if (storages_[i] != (has_memory ? tensor->storage().unsafeGetStorageImpl() : nullptr))
      return false;
  }
  return true;
}

std::optional<int> Memory::find(const at::Tensor& tensor) const {
  if (rules_.empty() || !tensor.has_storage()) return std::nullopt;
  const auto found = rules_.find(tensor.storage().unsafeGetStorageImpl());
  return found == rules_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace op_policy

OpPolicy& OpPolicy::set_module(const std::string& pattern, CastRule rule) {
  if (pattern.empty())
    throw InvalidArgument("OpPolicy: the pattern of a module must not be empty; '*' means all");
  if (rule != CastRule::lower_precision && rule != CastRule::fp32 && rule != CastRule::promote &&
      rule != CastRule::keep)
    throw InvalidArgument(
        "OpPolicy: the rule of a module must be lower_precision, fp32, promote or keep, because it "
        "is for every op; got another for '" +
        pattern + "'");
  auto edited = std::make_shared<op_policy::Table>(*table_);
  std::erase_if(edited->modules, [&](const auto& known) { return known.pattern == pattern; });
  edited->modules.push_back({pattern, rule});
  edited->reads_arguments = true;
  if (edited->model != nullptr) op_policy::bind_names(*edited, edited->model->names);
  table_ = std::move(edited);
  return *this;
}

OpPolicy& OpPolicy::bind(const torch::nn::Module& model) {
  auto edited = std::make_shared<op_policy::Table>(*table_);
  op_policy::bind_names(*edited, op_policy::names_of(model));
  table_ = std::move(edited);
  return *this;
}

OpPolicy& OpPolicy::bind(const torch::jit::Module& model) {
  auto edited = std::make_shared<op_policy::Table>(*table_);
  op_policy::bind_names(*edited, op_policy::names_of(model));
  table_ = std::move(edited);
  return *this;
}

bool OpPolicy::needs_model(const torch::nn::Module& model) const {
  return table_->reads_arguments && !op_policy::is_bound(*table_, *op_policy::names_of(model));
}

bool OpPolicy::needs_model(const torch::jit::Module& model) const {
  return table_->reads_arguments && !op_policy::is_bound(*table_, *op_policy::names_of(model));
}

}  // namespace amp
