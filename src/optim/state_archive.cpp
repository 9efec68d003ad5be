// An optimizer's options and state in LibTorch's archives.
#include "src/optim/state_archive.h"

#include <c10/core/GradMode.h>

#include <sstream>

#include "amp/error.h"

namespace amp::optim {
namespace {

constexpr std::int64_t kFormat = 1;

std::string key(const char* what, std::size_t i) { return what + std::to_string(i); }

std::string kind(const at::Tensor& parameter) {
  std::ostringstream text;
  text << parameter.sizes() << " " << parameter.scalar_type();
  return text.str();
}

[[noreturn]] void refuse(const Algorithm& algorithm, const std::string& what) {
  throw InvalidArgument(std::string(algorithm.name()) + ": the state to load " + what);
}

void expect(const Algorithm& algorithm, const std::string& what, std::size_t expected,
            InputArchive& archive, const char* name) {
  std::int64_t given = 0;
  read(archive, name, given);
  if (given == static_cast<std::int64_t>(expected)) return;
  refuse(algorithm, "has " + std::to_string(given) + " " + what + ", this optimizer has " +
                        std::to_string(expected) + "; load it into one like that which saved it");
}

std::unique_ptr<OptimizerOptions> options_in(const Algorithm& algorithm,
                                             const OptimizerOptions& now, std::size_t group,
                                             InputArchive& archive) {
  auto options = now.clone();
  InputArchive stored;
  read(archive, "options", stored);
  options->serialize(stored);
  const auto where = "group " + std::to_string(group);
  algorithm.check(*options, algorithm.name() + (": the state to load, " + where));
  if (algorithm.memory(*options) != algorithm.memory(now))
    refuse(algorithm,
           "was saved with other memory options in " + where + "; make the optimizer with those");
  return options;
}

std::unique_ptr<ParameterState> state_in(const Algorithm& algorithm, const at::Tensor& parameter,
                                         const MemoryOptions& memory, const std::string& name,
                                         InputArchive& archive) {
  std::string stored_kind;
  read(archive, "kind", stored_kind);
  if (stored_kind != kind(parameter)) {
    refuse(algorithm,
           "has " + stored_kind + " for " + name + "; load it for the model that it was saved for");
  }
  bool stepped = false;
  read(archive, "stepped", stepped);
  if (!stepped) return nullptr;
  auto state = std::make_unique<ParameterState>();
  state->serialize(archive);
  if (!fits(*state, parameter, memory))
    refuse(algorithm, "has moments or masters that do not fit " + name + "; it is damaged");
  move_to(*state, parameter);
  return state;
}

}  // namespace

void save_state(const Algorithm& algorithm, const Groups& groups, const States& states,
                OutputArchive& archive) {
  archive.write("optimizer", c10::IValue(std::string(algorithm.name())));
  archive.write("format", c10::IValue(kFormat));
  archive.write("groups", c10::IValue(static_cast<std::int64_t>(groups.size())));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    OutputArchive group(archive.compilation_unit()), options(archive.compilation_unit());
    groups[g].options().serialize(options);
    group.write("options", options);
    const auto& parameters = groups[g].params();
    group.write("parameters", c10::IValue(static_cast<std::int64_t>(parameters.size())));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      OutputArchive parameter(archive.compilation_unit());
      parameter.write("kind", c10::IValue(kind(parameters[i])));
      const auto found = states.find(parameters[i].unsafeGetTensorImpl());
      parameter.write("stepped", c10::IValue(found != states.end()));
      if (found != states.end()) found->second->serialize(parameter);
      group.write(key("parameter", i), parameter);
    }
    archive.write(key("group", g), group);
  }
}

void load_state(const Algorithm& algorithm, Groups& groups, States& states, InputArchive& archive) {
  c10::NoGradGuard no_grad;
  c10::IValue saved_by;
  if (!archive.try_read("optimizer", saved_by) || !saved_by.isString())
    refuse(algorithm, "was not saved by an optimizer of amp::optim");
  if (saved_by.toStringRef() != algorithm.name())
    refuse(algorithm, "was saved by " + saved_by.toStringRef() + "; load it into one");
  expect(algorithm, "as its format", static_cast<std::size_t>(kFormat), archive, "format");
  expect(algorithm, "groups", groups.size(), archive, "groups");

  std::vector<std::unique_ptr<OptimizerOptions>> options;
  States loaded;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    InputArchive group;
    read(archive, key("group", g), group);
    options.push_back(options_in(algorithm, groups[g].options(), g, group));
    const auto& parameters = groups[g].params();
    expect(algorithm, "parameters in group " + std::to_string(g), parameters.size(), group,
           "parameters");
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      InputArchive stored;
      read(group, key("parameter", i), stored);
      auto state = state_in(algorithm, parameters[i], algorithm.memory(*options.back()),
                            named(parameters[i], g, i), stored);
      if (state != nullptr) loaded[parameters[i].unsafeGetTensorImpl()] = std::move(state);
    }
  }
  for (std::size_t g = 0; g < groups.size(); ++g) groups[g].set_options(std::move(options[g]));
  states = std::move(loaded);
}

}  // namespace amp::optim
