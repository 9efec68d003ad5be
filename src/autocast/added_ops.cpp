// Ops that no list of torch's names: a boxed kernel each, from the first policy that has a rule for
// it on.
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/autocast/boxed.h"
#include "src/autocast/kernels.h"
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

// The kernel of the op of this number on this device.
class BoxedKernel : public c10::OperatorKernel {
 public:
  BoxedKernel(std::size_t number, c10::DeviceType device) : number_(number), device_(device) {}

  void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                  torch::jit::Stack* stack) {
    const auto rule = rule_here();
    if (rule == CastRule::keep) {
      op.redispatchBoxed(keys & keys_after(device_), stack);
    } else {
      const auto& name = op.operator_name();
      cast_and_call(op, stack, device_, rule, op_policy::full_name(name.name, name.overload_name));
    }
  }

 private:
  CastRule rule_here() const {
    const auto* region = current_region();
    if (region == nullptr) return CastRule::keep;
    const auto& added = region->of(device_).added;
    return number_ < added.size() ? added[number_] : CastRule::keep;
  }

  std::size_t number_;
  c10::DeviceType device_;
};

void register_boxed(const std::string& name, std::size_t number) {
  static auto& libraries = *new std::vector<std::unique_ptr<torch::Library>>;  // for good
  const cpu_math::NoWarnings silence;
  const auto colons = name.find("::");
  const auto space = colons == std::string::npos ? "aten" : name.substr(0, colons);
  const auto op = colons == std::string::npos ? name : name.substr(colons + 2);
  for (const auto device : {c10::DeviceType::CPU, c10::DeviceType::CUDA}) {
    libraries.push_back(std::make_unique<torch::Library>(torch::Library::IMPL, space,
                                                         key_of(device), __FILE__, __LINE__));
    libraries.back()->impl(op.c_str(), torch::CppFunction::makeFromBoxedFunctor(
                                           std::make_unique<BoxedKernel>(number, device)));
  }
}

}  // namespace

void cast_and_call(const c10::OperatorHandle& op, torch::jit::Stack* stack, c10::DeviceType device,
                   CastRule rule, const std::string& name) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
  if (rule == CastRule::banned) refuse_banned(op.schema().name().c_str());
  const auto count = op.schema().arguments().size();
  const auto arguments = c10::ArrayRef<c10::IValue>(*stack).slice(stack->size() - count, count);
  const auto& log = current_region()->log;
  auto* count_here = log == nullptr ? nullptr : &log->call(name, rule);
  Casts casts{boxed_target(rule, device, arguments), device, /*ours=*/true, count_here};
  const auto* emulation = emulation_of(current_region(), device, rule);
  if (emulation != nullptr) casts.rounded_to = emulation->forward;
  if (casts.dtype != kAsItIs) {  // promote without an eligible tensor
    for (auto place = stack->size() - count; place < stack->size(); ++place)
      cast_in_place(casts, (*stack)[place]);
  }
  op.callBoxed(stack);
  if (emulation == nullptr) return;
  for (auto place = stack->size() - op.schema().returns().size(); place < stack->size(); ++place) {
    auto& result = (*stack)[place];
    if (result.isTensor()) result = with_rounded_gradient(*emulation, result.toTensor());
  }
}

std::vector<CastRule> rules_of_added(const std::map<std::string, CastRule>& added) {
  if (added.empty()) return {};
  static std::mutex mutex;
  static std::map<std::string, std::size_t> numbers;
  const std::lock_guard lock(mutex);
  std::vector<CastRule> rules;
  for (const auto& [name, rule] : added) {
    const auto [place, is_new] = numbers.emplace(name, numbers.size());
    if (is_new) register_boxed(name, place->second);
    if (rules.size() <= place->second) rules.resize(place->second + 1, CastRule::keep);
    rules[place->second] = rule;
  }
  return rules;
}

}  // namespace amp::autocast
