// The kernel behind the ops that compute in a wider dtype than they are given.
#include "src/autocast/inside.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/List.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "src/autocast/boxed.h"

namespace amp::autocast {
namespace {

std::size_t number_of(const c10::OperatorHandle& op) {
  static const auto numbers = [] {
    std::unordered_map<std::string, std::size_t> made;
    for (std::size_t i = 0; i < op_policy::kOps; ++i) made[op_policy::kListed[i].name] = i;
    return made;
  }();
  const auto& name = op.operator_name();
  return numbers.at(op_policy::full_name(name.name, name.overload_name));
}

bool writes(const c10::Argument& argument) {
  if (argument.alias_info() != nullptr && argument.alias_info()->isWrite()) return true;
  return argument.name().starts_with(
      "running_");  // batch_norm's, whose schema keeps silent about it
}

// Resizes as kernels do: below autograd, so that it also works for tensors that need gradients.
void resize_below(const at::Tensor& tensor, at::IntArrayRef sizes) {
  const at::AutoDispatchBelowADInplaceOrView below;
  tensor.resize_(sizes);
}

// The arguments of a call on the stack, and how they are replaced.
class StackArguments {
 public:
  StackArguments(const c10::FunctionSchema& schema, c10::DeviceType device,
                 torch::jit::Stack& stack)
      : schema_(schema), device_(device), stack_(stack), widest_(device) {
    begin_ = stack.size() - schema.arguments().size();
    for (std::size_t i = begin_; i < stack.size(); ++i) for_each_tensor(stack[i], widest_);
  }

  const Widest& widest() const { return widest_; }

  // For an op that only moves values fp32_inside becomes promote.
  CastRule sharpened(CastRule rule) const {
    for (std::size_t i = 0; i < schema_.arguments().size(); ++i) {
      const auto& argument = stack_[begin_ + i];
      if (rule == CastRule::fp32_inside && schema_.arguments()[i].name() == "accumulate" &&
          argument.isBool() && !argument.toBool())
        return CastRule::promote;
    }
    return rule;
  }

  // The dtype of the tensor that an in-place op writes, if that tensor is eligible.
  c10::ScalarType written_dtype() const {
    for (std::size_t i = 0; i < schema_.arguments().size(); ++i) {
      const auto& argument = stack_[begin_ + i];
      if (writes(schema_.arguments()[i]) && argument.isTensor())
        return at::autocast::is_eligible(argument.toTensor(), device_)
                   ? argument.toTensor().scalar_type()
                   : kAsItIs;
    }
    return widest_.dtype();
  }

  void cast(const Casts& casts) {
    if (casts.dtype == kAsItIs) return;
    for (std::size_t i = 0; i < schema_.arguments().size(); ++i) {
      auto& argument = stack_[begin_ + i];
      if (!writes(schema_.arguments()[i])) {
        cast_in_place(casts, argument);
      } else if (argument.isTensor() && at::autocast::is_eligible(argument.toTensor(), device_) &&
                 argument.toTensor().scalar_type() != casts.dtype) {
        const auto tensor = argument.toTensor();
        written_.push_back({tensor, tensor.to(casts.dtype)});
        argument = written_.back().wide;
      }
    }
  }

  // Call it after the op: the tensors that it wrote get the values of their wide copies, and are
  // returned in their places.
  void copy_back() {
    for (const auto& [tensor, wide] : written_) {
      if (tensor.sizes() != wide.sizes()) resize_below(tensor, wide.sizes());
      tensor.copy_(wide);
    }
    for (auto i = stack_.size() - schema_.returns().size(); i < stack_.size(); ++i) {
      for (const auto& [tensor, wide] : written_) {
        if (stack_[i].isTensor() && stack_[i].toTensor().is_same(wide)) stack_[i] = tensor;
      }
    }
  }

 private:
  struct Written {
    at::Tensor tensor, wide;
  };
  const c10::FunctionSchema& schema_;
  c10::DeviceType device_;
  torch::jit::Stack& stack_;
  Widest widest_;
  std::size_t begin_;
  std::vector<Written> written_;
};

at::Tensor narrowed(const at::Tensor& tensor, c10::ScalarType dtype) {
  const bool is_fp32 = tensor.defined() && tensor.scalar_type() == c10::kFloat;
  return is_fp32 && dtype != c10::kFloat ? tensor.to(dtype) : tensor;
}

// Rounds results that came in fp32 to the dtype that the op's caller gets.
void narrow_results(const c10::FunctionSchema& schema, torch::jit::Stack& stack,
                    c10::ScalarType dtype) {
  for (auto i = stack.size() - schema.returns().size(); i < stack.size(); ++i) {
    auto& result = stack[i];
    if (result.isTensor()) {
      result = narrowed(result.toTensor(), dtype);
    } else if (result.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const auto& tensor : result.toTensorVector()) list.push_back(narrowed(tensor, dtype));
      result = list;
    }
  }
}

}  // namespace

void compute_inside(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                    torch::jit::Stack* stack) {
  const auto device = device_of(keys);
  const auto* region = current_region();
  const auto number = number_of(op);
  const auto& here = region->of(device);
  const auto own = here.table->rules[number];
  const auto& schema = op.schema();
  // The tensor that an in-place op writes keeps its dtype, whatever a module's rule is.
  const auto choice =
      schema.is_mutable() ? std::nullopt : choice_of_arguments(schema, here, *stack);
  const auto given = choice.has_value() ? choice->rule : own;
  if (choice.has_value() && region->log != nullptr)
    note_choice(*region->log, op_policy::op_name(number), own, *choice);
  if (given == CastRule::keep) return op.redispatchBoxed(keys & keys_after(device), stack);
  const bool rounds = given == CastRule::lower_precision && op_policy::rounds_in_between(number);
  if (!rounds && given != CastRule::promote && given != CastRule::fp32_inside)
    return cast_and_call(op, stack, device, given, op_policy::op_name(number), choice);

  StackArguments arguments(schema, device, *stack);
  const auto rule = arguments.sharpened(given);
  auto* count = region->log == nullptr
                    ? nullptr
                    : &region->log->call(op_policy::op_name(number), given,
                                         choice.has_value() ? choice->by() : std::string());
  auto result = arguments.widest().dtype();
  if (rule == CastRule::promote) {
    {
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
      const auto dtype = schema.is_mutable() ? arguments.written_dtype() : result;
      arguments.cast({dtype, device, /*ours=*/true, count});
    }
    op.redispatchBoxed(keys & keys_after(device), stack);
    return;
  }
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(key_of(device));
  if (rounds) {
    result = at::autocast::get_autocast_dtype(device);
    arguments.cast({result, device, /*ours=*/true, count});
    count = nullptr;
  }
  if (result != kAsItIs) arguments.cast({c10::kFloat, device, /*ours=*/true, count});
  op.callBoxed(stack);
  arguments.copy_back();
  if (!schema.is_mutable() && result != kAsItIs) narrow_results(schema, *stack, result);
}

}  // namespace amp::autocast
