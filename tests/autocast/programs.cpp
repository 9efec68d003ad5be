// The makers of random calls.
#include "tests/autocast/programs.h"

#include <ATen/autocast_mode.h>

#include <exception>
#include <functional>

namespace amp::tests {
namespace {

// Hands out dtypes and values while a call is made.
class Maker {
 public:
  Maker(std::uint64_t seed, std::vector<c10::ScalarType> dtypes, bool gradients)
      : random_(seed), dtypes_(std::move(dtypes)), gradients_(gradients) {}

  at::Tensor tensor(const Json& value) {
    for (const auto& [fill, shape] : value.items()) {
      if (fill == "values") continue;
      const auto sizes = shape.get<std::vector<std::int64_t>>();
      if (value.contains("values")) return whole(fill, value["values"], sizes);
      return real(fill, sizes);
    }
    return {};
  }

  std::vector<at::Tensor> leaves, reals;

 private:
  static at::Tensor whole(const std::string& fill, const Json& values,
                          const std::vector<std::int64_t>& sizes) {
    const auto dtype = fill == "bool"    ? at::kBool
                       : fill == "int32" ? at::kInt
                       : fill == "uint8" ? at::kByte
                                         : at::kLong;
    return at::tensor(values.get<std::vector<std::int64_t>>(), at::kLong).reshape(sizes).to(dtype);
  }

  // Multiples of 1/32 with at most eight bits, so that no dtype rounds them.
  at::Tensor grid(const std::vector<std::int64_t>& sizes, std::int64_t low, std::int64_t high) {
    std::int64_t count = 1;
    for (const auto size : sizes) count *= size;
    std::vector<double> values;
    std::uniform_int_distribution<std::int64_t> draw(low, high);
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<double>(draw(random_)) / 32);
    return at::tensor(values, at::kDouble).reshape(sizes);
  }

  at::Tensor filled(const std::string& fill, const std::vector<std::int64_t>& sizes) {
    if (fill == "unit") return grid(sizes, 1, 31);
    if (fill == "positive") return grid(sizes, 1, 96);
    if (fill == "above_one") return grid(sizes, 33, 96);
    if (fill == "small") return grid(sizes, -31, 31);
    if (fill == "rising") return at::arange(1, sizes[0] + 1, at::kDouble) / 8;
    if (fill == "real") return grid(sizes, -96, 96);
    const auto side = sizes.back();
    if (fill == "matrix") {
      const auto half = grid(sizes, -8, 8).tril(-1);
      return half + half.mT() + at::eye(side, at::kDouble) * static_cast<double>(side);
    }
    const auto triangle =
        fill == "lower" ? grid(sizes, -16, 16).tril(-1) : grid(sizes, -16, 16).triu(1);
    return triangle + at::eye(side, at::kDouble) * 2;
  }

  at::Tensor real(const std::string& fill, const std::vector<std::int64_t>& sizes) {
    const auto place = std::min(reals.size(), dtypes_.size() - 1);
    // Through bf16, so that the values are the same in every dtype.
    auto made = filled(fill, sizes).to(at::kBFloat16).to(dtypes_[place]);
    if (gradients_) {
      leaves.push_back(made.requires_grad_());
      made = made.clone();
    }
    reals.push_back(made);
    return made;
  }

  std::mt19937_64 random_;
  std::vector<c10::ScalarType> dtypes_;
  bool gradients_;
};

c10::IValue argument(const Json& value, const c10::TypePtr& type, Maker& maker) {
  if (const auto optional = type->cast<c10::OptionalType>()) {
    if (value.is_null()) return {};
    return argument(value, optional->getElementType(), maker);
  }
  if (type->kind() == c10::TypeKind::TensorType)
    return value.is_null() ? c10::IValue(at::Tensor()) : c10::IValue(maker.tensor(value));
  if (const auto list = type->cast<c10::ListType>()) {
    if (!value.is_array()) {  // int[2] given as one number
      c10::impl::GenericList items(list->getElementType());
      items.push_back(argument(value, list->getElementType(), maker));
      return items;
    }
    c10::impl::GenericList items(list->getElementType());
    for (const auto& item : value) items.push_back(argument(item, list->getElementType(), maker));
    return items;
  }
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float() || type->kind() == c10::TypeKind::FloatType)
    return value.get<double>();
  return value.get<std::int64_t>();
}

void for_each_real(const Json& value, const std::function<void()>& act) {
  if (value.is_array()) {
    for (const auto& item : value) for_each_real(item, act);
  } else if (value.is_object() && !value.contains("values")) {
    act();
  }
}

void gather(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
  } else if (value.isTensorList()) {
    for (const auto& tensor : value.toTensorVector()) tensors.push_back(tensor);
  }
}

// The sum of the results, each element times a weight of its own.
at::Tensor weighted_sum(const std::vector<at::Tensor>& results) {
  at::Tensor sum;
  for (const auto& result : results) {
    if (!result.defined() || !result.requires_grad()) continue;
    const auto wide = result.is_complex()
                          ? at::view_as_real(result.to(at::kComplexDouble).resolve_conj())
                          : result.to(at::kDouble);
    const auto weights =
        ((at::arange(wide.numel(), at::kLong) * 7).remainder(16) - 5).to(at::kDouble) / 8;
    const auto part = (wide.reshape({-1}) * weights).sum();
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

void change(const at::Tensor& tensor, Afterwards afterwards) {
  const c10::AutoGradMode none(false);
  if (afterwards == Afterwards::change_in_place) tensor.mul_(-3);
  if (afterwards == Afterwards::change_data) at::Tensor(tensor.variable_data()).mul_(-3);
}

void run_backward(Call& call, Outcome& outcome, Afterwards afterwards) {
  try {
    at::autocast::set_autocast_enabled(at::kCPU, false);
    for (const auto& real : call.reals) change(real, afterwards);
    const auto sum = weighted_sum(outcome.results);
    if (!sum.defined()) return;
    sum.backward();
    for (const auto& leaf : call.leaves) outcome.gradients.push_back(leaf.grad());
  } catch (const std::exception& error) {
    outcome.gradient_error = error.what();
  }
}

}  // namespace

std::size_t count_of_reals(const Program& program) {
  std::size_t count = 0;
  for (const auto& argument : program.op.schema().arguments()) {
    if (program.arguments.contains(argument.name()))
      for_each_real(program.arguments[argument.name()], [&] { ++count; });
  }
  return count;
}

Call made(const Program& program, const std::vector<c10::ScalarType>& dtypes, bool gradients) {
  Maker maker(program.seed, dtypes, gradients);
  Call call;
  for (const auto& parameter : program.op.schema().arguments()) {
    if (program.arguments.contains(parameter.name())) {
      call.stack.push_back(
          argument(program.arguments[parameter.name()], parameter.real_type(), maker));
    } else {
      call.stack.push_back(parameter.default_value().value_or(c10::IValue()));
    }
  }
  call.leaves = maker.leaves;
  call.reals = maker.reals;
  return call;
}

Outcome run(Call call, const c10::OperatorHandle& op, bool gradients, Afterwards afterwards) {
  Outcome outcome;
  const bool enabled = at::autocast::is_autocast_enabled(at::kCPU);
  try {
    at::manual_seed(7);
    op.callBoxed(call.stack);
    for (const auto& value : call.stack) gather(value, outcome.results);
  } catch (const std::exception& error) {
    outcome.error = error.what();
  }
  if (gradients && outcome.ran()) run_backward(call, outcome, afterwards);
  at::autocast::set_autocast_enabled(at::kCPU, enabled);
  return outcome;
}

std::vector<Program> all_programs() {
  std::vector<Program> programs;
  const auto file = golden("op_programs.json");
  for (const auto& [name, calls] : file["ops"].items()) {
    const auto dot = name.find('.');
    const auto overload = dot == std::string::npos ? "" : name.substr(dot + 1);
    const auto op =
        c10::Dispatcher::singleton().findSchema({"aten::" + name.substr(0, dot), overload});
    if (!op.has_value()) continue;
    for (std::size_t i = 0; i < calls.size(); ++i)
      programs.push_back({name, *op, calls[i], std::hash<std::string>()(name) % 1000 + i});
  }
  return programs;
}

}  // namespace amp::tests
