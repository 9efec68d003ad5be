// Which parameters and gradients an optimizer takes.
#include "src/optim/check_parameters.h"

#include <c10/util/Type.h>

#include <sstream>
#include <typeinfo>
#include <unordered_map>

#include "amp/error.h"
#include "src/optim/low_precision.h"

namespace amp::optim {
namespace {

bool is_trainable(c10::ScalarType dtype) {
  return dtype == c10::kFloat || dtype == c10::kDouble || is_low_precision(dtype);
}

[[noreturn]] void refuse(const Algorithm& algorithm, const std::string& what,
                         const std::string& rule) {
  throw InvalidArgument(std::string(algorithm.name()) + ": " + what + " " + rule);
}

}  // namespace

std::string named(const at::Tensor& parameter, std::size_t group, std::size_t index) {
  std::ostringstream name;
  name << "parameter " << index << " in group " << group;
  if (parameter.defined())
    name << " (shape " << parameter.sizes() << ", " << parameter.scalar_type() << ")";
  return name.str();
}

void check_parameter(const Algorithm& algorithm, const at::Tensor& parameter,
                     const MemoryOptions& memory, std::size_t group, std::size_t index) {
  const auto refuse_it = [&](const std::string& rule) {
    refuse(algorithm, named(parameter, group, index), rule);
  };
  if (!parameter.defined()) refuse_it("is undefined; leave it out");
  const auto dtype = parameter.scalar_type();
  if (!is_trainable(dtype))
    refuse_it("is of a dtype that cannot be trained; use Float, BFloat16, Half or Double");
  if (parameter.layout() != c10::kStrided) refuse_it("is not dense; use to_dense()");
  if (!parameter.is_leaf())
    refuse_it("is not a leaf, so that backward() leaves no gradient in it; use detach()");
  if (!parameter.is_non_overlapping_and_dense()) {
    refuse_it("has elements that share memory or lie apart; train its contiguous() copy");
  }
  if (dtype == c10::kHalf && memory.weights == LowPrecisionWeights::split) {
    refuse_it(
        "is fp16, which memory.weights = split cannot keep: its lower 16 bits complete bf16 "
        "only; use master or kahan, or bf16 parameters");
  }
}

void refuse_options(const Algorithm& algorithm, const OptimizerOptions& options,
                    std::size_t group) {
  refuse(algorithm, "group " + std::to_string(group),
         "has options of " + c10::demangle(typeid(options).name()) +
             "; give it those of this optimizer, torch::optim's of the same algorithm, or none");
}

void check_group(const Algorithm& algorithm, const torch::optim::OptimizerParamGroup& group,
                 std::size_t number) {
  const auto where = "group " + std::to_string(number);
  if (!algorithm.takes(group.options())) refuse_options(algorithm, group.options(), number);
  algorithm.check(group.options(), algorithm.name() + (": " + where));
  const auto& memory = algorithm.memory(group.options());
  for (std::size_t i = 0; i < group.params().size(); ++i)
    check_parameter(algorithm, group.params()[i], memory, number, i);
}

void check_distinct(const Algorithm& algorithm, const Groups& groups) {
  std::unordered_map<const c10::TensorImpl*, std::string> seen;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (std::size_t i = 0; i < groups[g].params().size(); ++i) {
      const auto& parameter = groups[g].params()[i];
      const auto name = named(parameter, g, i);
      const auto [place, is_new] = seen.emplace(parameter.unsafeGetTensorImpl(), name);
      if (is_new) continue;
      refuse(algorithm, name, "is " + place->second + ", too; give each parameter once");
    }
  }
}

void check_gradient(const Algorithm& algorithm, const Slot& slot, const at::Tensor& gradient) {
  const auto& parameter = slot.parameter;
  const auto refuse_it = [&](const std::string& rule) {
    refuse(algorithm, "the gradient of " + named(parameter, slot.group, slot.index), rule);
  };
  const auto shown = [](const auto& value) {
    std::ostringstream text;
    text << value;
    return text.str();
  };
  if (!is_trainable(gradient.scalar_type())) {
    refuse_it("is " + shown(gradient.scalar_type()) + "; use Float, BFloat16, Half or Double");
  }
  if (gradient.layout() != c10::kStrided && gradient.layout() != c10::kSparse)
    refuse_it("is " + shown(gradient.layout()) + "; use a dense or a sparse COO gradient");
  if (gradient.sizes() != parameter.sizes())
    refuse_it("has shape " + shown(gradient.sizes()) + "; give it the parameter's");
  if (gradient.device() != parameter.device()) {
    refuse_it("is on " + shown(gradient.device()) + ", the parameter on " +
              shown(parameter.device()) + "; move it there");
  }
}

}  // namespace amp::optim
