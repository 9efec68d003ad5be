// The ops that a rule for modules can reach and no list names.
#include "src/autocast/module_ops.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "src/op_policy/table.h"

namespace amp::autocast {
namespace {

template <std::size_t n>
bool is_any(std::string_view name, const std::array<std::string_view, n>& known) {
  return std::ranges::find(known, name) != known.end();
}

bool begins_so(std::string_view name) {
  static constexpr std::array<std::string_view, 21> kPrefixes = {
      "_",      "to_",    "new_",  "quantize", "dequantize", "fake_quantize", "choose_qparams",
      "sparse", "mkldnn", "cudnn", "miopen",   "mps_",       "fbgemm",        "xnnpack",
      "sym_",   "q_",     "lift",  "is_",      "nested",     "int_repr",      "unsafe_"};
  return std::ranges::any_of(kPrefixes, [&](auto prefix) { return name.starts_with(prefix); });
}

bool ends_so(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kSuffixes = {"_backward", "_like", "_copy",
                                                                "_jvp"};
  return std::ranges::any_of(kSuffixes, [&](auto suffix) { return name.ends_with(suffix); }) ||
         name.find("_backward_") != std::string_view::npos;
}

// Whether the op computes nothing: a cast or a copy, or one about dtypes, such as result_type.
bool is_no_computation(std::string_view name) {
  static constexpr std::array<std::string_view, 14> kNames = {
      "clone",  "copy",  "contiguous", "detach", "alias", "to",   "type_as",
      "values", "equal", "coalesce",   "item",   "empty", "data", "retain_grad"};
  return begins_so(name) || ends_so(name) || is_any(name, kNames);
}

// Whether the namespace is one of LibTorch's own, other than aten. The ops of a user's
// TORCH_LIBRARY are in none of these.
bool is_of_libtorch(std::string_view space) {
  static constexpr std::array<std::string_view, 16> kSpaces = {"prim",
                                                               "prims",
                                                               "quantized",
                                                               "_quantized",
                                                               "sparse",
                                                               "mkldnn",
                                                               "onednn",
                                                               "mkl",
                                                               "c10d",
                                                               "_c10d_functional",
                                                               "_c10d_functional_autograd",
                                                               "inductor",
                                                               "cuda",
                                                               "rngprims",
                                                               "debugprims",
                                                               "static_runtime"};
  return is_any(space, kSpaces) || space.starts_with("symm_mem") || space.starts_with("_dtensor");
}

bool is_tensor(const c10::Argument& argument) {
  static const auto tensor = c10::TensorType::get();
  static const auto list = c10::ListType::ofTensors();
  static const auto optional = c10::OptionalType::ofTensor();
  return argument.type()->isSubtypeOf(*tensor) || argument.type()->isSubtypeOf(*list) ||
         argument.type()->isSubtypeOf(*optional);
}

bool computes(const c10::FunctionSchema& schema) {
  const auto is_alias = [](const auto& argument) { return argument.alias_info() != nullptr; };
  const auto& arguments = schema.arguments();
  const auto& returns = schema.returns();
  return !schema.is_vararg() && std::ranges::any_of(arguments, is_tensor) && !returns.empty() &&
         std::ranges::all_of(returns, is_tensor) && std::ranges::none_of(arguments, is_alias) &&
         std::ranges::none_of(returns, is_alias);
}

bool has_kernel_of_its_own(const c10::OperatorHandle& op) {
  return op.hasKernelForDispatchKey(c10::DispatchKey::AutocastCPU) ||
         op.hasKernelForDispatchKey(c10::DispatchKey::AutocastCUDA);
}

}  // namespace

std::vector<std::string> ops_for_modules() {
  std::set<std::string> listed;
  for (const auto& op : op_policy::kListed) listed.insert(op.name);
  std::vector<std::string> found;
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& op : dispatcher.getAllOpNames()) {
    const auto colons = op.name.find("::");
    const auto space = std::string_view(op.name).substr(0, colons);
    const auto name = std::string_view(op.name).substr(colons + 2);
    if (is_of_libtorch(space) || is_no_computation(name)) continue;
    const auto full = op_policy::full_name(op.name, op.overload_name);
    if (listed.contains(full)) continue;
    const auto handle = dispatcher.findSchema(op);
    if (handle.has_value() && computes(handle->schema()) && !has_kernel_of_its_own(*handle))
      found.push_back(full);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace amp::autocast
