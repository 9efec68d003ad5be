// The optimizers and their options: groups in, options out.
#include <utility>

#include "amp/error.h"
#include "amp/optim.h"
#include "src/optim/algorithm.h"

namespace amp::optim {
namespace {

using torch::optim::OptimizerParamGroup;

template <typename Options>
OptimizerParamGroup torch_group(ParamGroup<Options> group) {
  return {std::move(group.parameters), group_options(group.options)};
}

template <typename Options>
std::vector<OptimizerParamGroup> torch_groups(std::vector<ParamGroup<Options>> groups) {
  std::vector<OptimizerParamGroup> made;
  made.reserve(groups.size());
  for (auto& group : groups) made.push_back(torch_group(std::move(group)));
  return made;
}

}  // namespace

template <typename Options>
OptimizerOf<Options>::OptimizerOf(std::vector<at::Tensor> parameters, Options options)
    : FusedOptimizer(algorithm_for(options),
                     {torch_group<Options>({std::move(parameters), options})},
                     group_options(options)) {}

template <typename Options>
OptimizerOf<Options>::OptimizerOf(std::vector<ParamGroup<Options>> groups)
    : FusedOptimizer(algorithm_for(Options{}), torch_groups(std::move(groups)),
                     group_options(Options{})) {}

template <typename Options>
OptimizerOf<Options>::OptimizerOf(Lists, std::vector<OptimizerParamGroup> groups,
                                  const Options& defaults)
    : FusedOptimizer(algorithm_for(defaults), std::move(groups), group_options(defaults)) {}

template <typename Options>
Options OptimizerOf<Options>::taken(const TorchOptions& options) {
  return from_torch(options, Options{});
}

template <typename Options>
Options OptimizerOf<Options>::taken(double lr) {
  return {.lr = lr};
}

template <typename Options>
void OptimizerOf<Options>::add_param_group(ParamGroup<Options> group) {
  FusedOptimizer::add_param_group(torch_group(std::move(group)));
}

template <typename Options>
const Options& OptimizerOf<Options>::options(std::size_t group) const {
  check_group(group);
  settle();
  return options_of<Options>(param_groups()[group].options());
}

template <typename Options>
void OptimizerOf<Options>::set_options(const Options& options, std::size_t group) {
  check_group(group);
  if (!are_group_options<Options>(param_groups()[group].options())) settle();
  auto& now = param_groups()[group].options();
  const auto who = name_of(&options) + (": group " + std::to_string(group));
  check(options, who);
  if (options.memory != options_of<Options>(now).memory) {
    throw InvalidArgument(who +
                          ": the memory options cannot change once the group is made; make a new "
                          "optimizer");
  }
  assign(now, options);
}

template class OptimizerOf<SGDOptions>;
template class OptimizerOf<AdamOptions>;
template class OptimizerOf<AdamWOptions>;
template class OptimizerOf<LambOptions>;

}  // namespace amp::optim
