// What an op's name tells about its arguments.
#include "src/inspect/frame.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace amp::inspect {

bool writes_self(const std::string& op) { return op.ends_with('_') && !op.ends_with("__"); }

bool ignores_self(const std::string& op) {
  static constexpr std::array<std::string_view, 12> kAll = {
      "copy_",   "zero_",      "fill_",      "normal_", "uniform_",    "random_",
      "resize_", "bernoulli_", "geometric_", "set_",    "log_normal_", "exponential_"};
  return std::ranges::find(kAll, op) != kAll.end();
}

bool sets_constant(const std::string& op) { return op != "copy_" && ignores_self(op); }

bool leaves_unset(const std::string& op) {
  return op.starts_with("empty") || op.starts_with("new_empty") || op == "resize_";
}

bool moves_nothing(const std::string& op) {
  static constexpr std::array<std::string_view, 9> kAll = {
      "detach_",    "requires_grad_", "t_",        "transpose_", "squeeze_",
      "unsqueeze_", "swapaxes_",      "swapdims_", "as_strided_"};
  return std::ranges::find(kAll, op) != kAll.end();
}

}  // namespace amp::inspect
