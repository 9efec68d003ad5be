// The options of a group: ours, and a base of torch::optim's that says the same.
#include "src/optim/group_options.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <string_view>
#include <tuple>
#include <type_traits>

#include "amp/error.h"
#include "src/optim/archive.h"
#include "src/optim/check_options.h"

namespace amp::optim {
namespace {

using torch::optim::OptimizerOptions;

// Calls visitor(name, field) for each option but the memory's.
template <typename Visitor, typename Options>
void visit_options(Visitor&& visitor, Options& o) {
  visitor("lr", o.lr);
  visitor("weight_decay", o.weight_decay);
  visitor("maximize", o.maximize);
  if constexpr (requires { o.momentum; }) {
    visitor("momentum", o.momentum);
    visitor("dampening", o.dampening);
    visitor("nesterov", o.nesterov);
  }
  if constexpr (requires { o.betas; }) {
    visitor("beta1", o.betas[0]);
    visitor("beta2", o.betas[1]);
    visitor("eps", o.eps);
  }
  if constexpr (requires { o.amsgrad; }) visitor("amsgrad", o.amsgrad);
  if constexpr (requires { o.bias_correction; }) visitor("bias_correction", o.bias_correction);
  if constexpr (requires { o.use_nvlamb; }) visitor("use_nvlamb", o.use_nvlamb);
}

// Calls visitor(ours, theirs) for each option that both have, but betas.
template <typename Visitor, typename Ours, typename Theirs>
void visit_both(Visitor&& visitor, Ours& ours, Theirs& theirs) {
  visitor(ours.lr, theirs.lr());
  visitor(ours.weight_decay, theirs.weight_decay());
  if constexpr (requires { ours.momentum; }) {
    visitor(ours.momentum, theirs.momentum());
    visitor(ours.dampening, theirs.dampening());
    visitor(ours.nesterov, theirs.nesterov());
  }
  if constexpr (requires { ours.eps; }) visitor(ours.eps, theirs.eps());
  if constexpr (requires { ours.amsgrad; }) visitor(ours.amsgrad, theirs.amsgrad());
}

template <typename Options, typename Theirs>
void write(const Options& ours, Theirs& theirs) {
  visit_both([](const auto& from, auto& to) { to = from; }, ours, theirs);
  if constexpr (requires { ours.betas; }) theirs.betas({ours.betas[0], ours.betas[1]});
}

// Takes over torch::optim's options without a check.
template <typename Options, typename Theirs>
Options read_from(const Theirs& theirs, Options ours) {
  visit_both([](auto& to, const auto& from) { to = from; }, ours, theirs);
  if constexpr (requires { ours.betas; })
    ours.betas = {std::get<0>(theirs.betas()), std::get<1>(theirs.betas())};
  return ours;
}

template <typename Options, typename Theirs>
bool same_as(const Theirs& theirs, const Options& ours) {
  bool same = true;
  visit_both([&](const auto& a, const auto& b) { same = same && a == b; }, ours, theirs);
  if constexpr (requires { ours.betas; })
    same = same && theirs.betas() == std::tuple(ours.betas[0], ours.betas[1]);
  if constexpr (
      !requires { ours.amsgrad; } && requires { theirs.amsgrad(); })
    same = same && !theirs.amsgrad();
  return same;
}

template <typename Options, typename Theirs>
Options checked(const Theirs& theirs, const Options& rest, const std::string& who) {
  if constexpr (
      !requires { rest.amsgrad; } && requires { theirs.amsgrad(); }) {
    if (theirs.amsgrad())
      throw InvalidArgument(who + ": amsgrad must be false, which this algorithm does not have");
  }
  auto options = read_from(theirs, rest);
  check(options, who);
  return options;
}

template <typename Options>
class GroupOptions final : public TorchOptionsOf<Options>::type {
  using Base = typename TorchOptionsOf<Options>::type;

 public:
  explicit GroupOptions(const Options& options) : Base(options.lr) { assign(options); }

  const Options& value() const { return value_; }
  void assign(const Options& options) {
    value_ = options;
    write(value_, static_cast<Base&>(*this));
  }
  void settle(std::size_t group) {
    if (same_as(base(), value_)) return;
    value_ =
        checked<Options>(base(), value_, name_of(&value_) + (": group " + std::to_string(group)));
  }

  void set_lr(const double lr) override {
    check_lr(lr, name_of(&value_));
    Base::lr(lr);
  }

  std::unique_ptr<OptimizerOptions> clone() const override {
    return std::make_unique<GroupOptions>(*this);
  }

  void serialize(OutputArchive& archive) const override {
    visit_options(
        [&](const char* name, const auto& field) { archive.write(name, c10::IValue(field)); },
        value_);
    archive.write("memory_weights", c10::IValue(static_cast<std::int64_t>(value_.memory.weights)));
    archive.write("memory_bf16_moments", c10::IValue(value_.memory.bf16_moments));
    archive.write("memory_seed", c10::IValue(static_cast<std::int64_t>(value_.memory.seed)));
  }

  void serialize(InputArchive& archive) override {
    auto options = value_;
    visit_options(
        [&](std::string_view name, auto& field) {
          if (name == "use_nvlamb" && !has(archive, "use_nvlamb")) {
            field = true;  // saved before there was a choice
          } else {
            read(archive, std::string(name), field);
          }
        },
        options);
    std::int64_t weights = 0, seed = 0;
    read(archive, "memory_weights", weights);
    read(archive, "memory_bf16_moments", options.memory.bf16_moments);
    read(archive, "memory_seed", seed);
    options.memory.weights = static_cast<LowPrecisionWeights>(weights);
    options.memory.seed = static_cast<std::uint64_t>(seed);
    assign(options);
  }

 private:
  const Base& base() const { return *this; }

  Options value_;
};

template <typename Options>
GroupOptions<Options>& own(OptimizerOptions& options) {
  return static_cast<GroupOptions<Options>&>(options);
}

}  // namespace

template <typename Options>
std::unique_ptr<OptimizerOptions> group_options(const Options& options) {
  return std::make_unique<GroupOptions<Options>>(options);
}

template <typename Options>
bool are_group_options(const OptimizerOptions& options) {
  return dynamic_cast<const GroupOptions<Options>*>(&options) != nullptr;
}

template <typename Options>
const Options& options_of(const OptimizerOptions& group) {
  return static_cast<const GroupOptions<Options>&>(group).value();
}

template <typename Options>
void assign(OptimizerOptions& group, const Options& options) {
  own<Options>(group).assign(options);
}

template <typename Options>
void settle(OptimizerOptions& options, std::size_t group) {
  own<Options>(options).settle(group);
}

template <typename Options>
Options from_torch(const typename TorchOptionsOf<Options>::type& options, const Options& rest) {
  return checked<Options>(options, rest, name_of(&rest));
}

template <typename Options>
std::unique_ptr<OptimizerOptions> adopted(const OptimizerOptions& options, const Options& rest,
                                          const std::string& who) {
  const auto* theirs = dynamic_cast<const typename TorchOptionsOf<Options>::type*>(&options);
  if (theirs == nullptr) return nullptr;
  return group_options(checked<Options>(*theirs, rest, who));
}

#define AMP_GROUP_OPTIONS(Options)                                                            \
  template std::unique_ptr<OptimizerOptions> group_options(const Options&);                   \
  template bool are_group_options<Options>(const OptimizerOptions&);                          \
  template const Options& options_of<Options>(const OptimizerOptions&);                       \
  template void assign(OptimizerOptions&, const Options&);                                    \
  template void settle<Options>(OptimizerOptions&, std::size_t);                              \
  template Options from_torch(const TorchOptionsOf<Options>::type&, const Options&);          \
  template std::unique_ptr<OptimizerOptions> adopted(const OptimizerOptions&, const Options&, \
                                                     const std::string&)
AMP_GROUP_OPTIONS(SGDOptions);
AMP_GROUP_OPTIONS(AdamOptions);
AMP_GROUP_OPTIONS(AdamWOptions);
AMP_GROUP_OPTIONS(LambOptions);
#undef AMP_GROUP_OPTIONS

}  // namespace amp::optim
