// Ops that none of torch's lists names. Each gets a boxed kernel with the first policy that has a
// rule for it, or a rule for modules.
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "src/autocast/boxed.h"
#include "src/autocast/kernels.h"
#include "src/autocast/module_ops.h"
#include "src/cpu_math/single_copy.h"

namespace amp::autocast {
namespace {

c10::ScalarType boxed_target(CastRule rule, c10::DeviceType device,
                             c10::ArrayRef<c10::IValue> arguments) {
  if (rule != CastRule::promote) return target(rule, device);
  Widest widest(device);
  for (const auto& argument : arguments) for_each_tensor(argument, widest);
  return widest.dtype();
}

// Whether the argument is a running statistic of a batch norm, which writes it though its schema
// does not say so.
bool is_written(const c10::Argument& argument) {
  return argument.name() == "running_mean" || argument.name() == "running_var";
}

using Arguments = c10::ArrayRef<c10::IValue>;

// Casts the arguments of the op, the last values on the stack. Running statistics are not cast to
// low precision, and neither are the weights beside them, because LibTorch takes both only in the
// same dtype. Returns pairs of a statistic that was widened and its copy: the op will write to the
// copy.
std::vector<std::pair<at::Tensor, at::Tensor>> cast_all(const Casts& casts,
                                                        const c10::FunctionSchema& schema,
                                                        torch::jit::Stack& stack) {
  std::vector<std::pair<at::Tensor, at::Tensor>> written;
  const auto& names = schema.arguments();
  const auto first = stack.size() - names.size();
  bool has_statistics = false;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& argument = stack[first + i];
    has_statistics |= is_written(names[i]) && argument.isTensor() && argument.toTensor().defined();
  }
  if (has_statistics && casts.dtype != c10::kFloat) {
    cast_in_place(casts, stack[first]);
    return written;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto& argument = stack[first + i];
    const auto before = argument;
    cast_in_place(casts, argument);
    if (is_written(names[i]) && argument.isTensor() &&
        !argument.toTensor().is_same(before.toTensor()))
      written.emplace_back(before.toTensor(), argument.toTensor());
  }
  return written;
}

// The kernel of the op of this number on this device.
class BoxedKernel : public c10::OperatorKernel {
 public:
  BoxedKernel(std::size_t number, c10::DeviceType device) : number_(number), device_(device) {}

  void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                  torch::jit::Stack* stack) {
    const auto* region = current_region();
    if (region == nullptr || region->of(device_).table == nullptr) return pass_on(op, keys, stack);
    const auto own = rule_here(*region);
    const auto choice = choice_of_arguments(op.schema(), region->of(device_), *stack);
    const auto rule = choice.has_value() ? choice->rule : own;
    const bool is_noted = choice.has_value() && region->log != nullptr;
    if (rule == CastRule::keep && !is_noted) return pass_on(op, keys, stack);
    const auto name =
        op_policy::full_name(op.operator_name().name, op.operator_name().overload_name);
    if (is_noted) note_choice(*region->log, name, own, *choice);
    if (rule == CastRule::keep) return pass_on(op, keys, stack);
    cast_and_call(op, stack, device_, rule, name, choice);
  }

 private:
  void pass_on(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
    op.redispatchBoxed(keys & keys_after(device_), stack);
  }

  CastRule rule_here(const Region& region) const {
    const auto& added = region.of(device_).added;
    return number_ < added.size() ? added[number_] : CastRule::keep;
  }

  std::size_t number_;
  c10::DeviceType device_;
};

// The name of the op's library, "aten", and the op's name as that library takes it: "relu" or
// "add.Tensor".
std::pair<std::string, std::string> split(const std::string& name) {
  const auto colons = name.find("::");
  if (colons == std::string::npos) return {"aten", name};
  return {name.substr(0, colons), name.substr(colons + 2)};
}

// Kernels by the full names of their ops. A kernel stays for the life of the process.
class Registry {
 public:
  std::size_t number_of(const std::string& name) {
    const auto [place, is_new] = numbers_.emplace(name, numbers_.size());
    if (is_new) add(name, place->second);
    return place->second;
  }

  void add_for_modules() {
    if (std::exchange(has_all_, true)) return;
    for (const auto& op : ops_for_modules()) number_of(op);
  }

 private:
  void add(const std::string& name, std::size_t number) {
    const cpu_math::NoWarnings silence;
    const auto [space, op] = split(name);
    for (const auto device : {c10::DeviceType::CPU, c10::DeviceType::CUDA}) {
      auto& library = libraries_[{space, device}];
      if (library == nullptr) {
        library = std::make_unique<torch::Library>(torch::Library::IMPL, space, key_of(device),
                                                   __FILE__, __LINE__);
      }
      library->impl(op.c_str(), torch::CppFunction::makeFromBoxedFunctor(
                                    std::make_unique<BoxedKernel>(number, device)));
    }
  }

  std::map<std::string, std::size_t> numbers_;
  std::map<std::pair<std::string, c10::DeviceType>, std::unique_ptr<torch::Library>> libraries_;
  bool has_all_ = false;
};

}  // namespace

std::optional<Choice> choice_of_arguments(const c10::FunctionSchema& schema,
                                          const Region::Device& here,
                                          const torch::jit::Stack& stack) {
  const auto& table = *here.table;
  if (table.modules.empty()) return std::nullopt;
  int rule = rule_of_scopes(table);
  if (table.model != nullptr) {
    const auto meet = [&](const at::Tensor& tensor) { raise_to_rule_of(tensor, here, rule); };
    const auto count = schema.arguments().size();
    for (const auto& argument : Arguments(stack).slice(stack.size() - count, count))
      for_each_tensor(argument, meet);
  }
  return choice_of_module(table, rule);
}

void cast_and_call(const c10::OperatorHandle& op, torch::jit::Stack* stack, c10::DeviceType device,
                   CastRule rule, const std::string& name, const std::optional<Choice>& choice) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
  const auto& schema = op.schema();
  if (rule == CastRule::banned) refuse_banned(schema.name().c_str());
  const auto count = schema.arguments().size();
  const auto arguments = Arguments(*stack).slice(stack->size() - count, count);
  const auto& log = current_region()->log;
  auto* count_here =
      log == nullptr ? nullptr
                     : &log->call(name, rule, choice.has_value() ? choice->by() : std::string());
  Casts casts{boxed_target(rule, device, arguments), device, /*ours=*/true, count_here};
  const auto* emulation = emulation_of(current_region(), device, rule);
  if (emulation != nullptr) casts.rounded_to = emulation->forward;
  std::vector<std::pair<at::Tensor, at::Tensor>> written;
  if (casts.dtype != kAsItIs)  // promote without an eligible tensor
    written = cast_all(casts, schema, *stack);
  op.callBoxed(stack);
  for (const auto& [original, copy] : written) original.detach().copy_(copy.detach());
  if (emulation == nullptr) return;
  for (auto place = stack->size() - schema.returns().size(); place < stack->size(); ++place) {
    auto& result = (*stack)[place];
    if (result.isTensor()) result = with_rounded_gradient(*emulation, result.toTensor());
  }
}

std::vector<CastRule> rules_of_added(const op_policy::Table& table) {
  if (table.added.empty() && table.modules.empty()) return {};
  static std::mutex mutex;
  static auto& registry = *new Registry;
  const std::lock_guard lock(mutex);
  if (!table.modules.empty()) registry.add_for_modules();
  std::vector<CastRule> rules;
  for (const auto& [name, rule] : table.added) {
    const auto number = registry.number_of(name);
    if (rules.size() <= number) rules.resize(number + 1, CastRule::keep);
    rules[number] = rule;
  }
  return rules;
}

}  // namespace amp::autocast
