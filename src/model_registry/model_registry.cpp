// The registry of models by name.
#include "amp/model_registry.h"

#include <algorithm>
#include <mutex>

#include "amp/error.h"
#include "src/model_registry/registration_error.h"
#include "src/text/suggest.h"

namespace amp {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<std::pair<std::string, ModelFactory>> models;
  std::string error;  // of the last static registration
};

// Made at the first call: plug-ins register before anybody's statics can be relied on.
Registry& registry() {
  static auto* made = new Registry;
  return *made;
}

template <typename Models>
auto find(Models& models, const std::string& name) {
  return std::find_if(models.begin(), models.end(),
                      [&](const auto& model) { return model.first == name; });
}

}  // namespace

bool register_model(const std::string& name, ModelFactory factory) {
  auto& [mutex, models, error] = registry();
  const std::lock_guard lock(mutex);
  if (name.empty() || factory == nullptr)
    throw InvalidArgument("register_model: a model needs a name and a factory");
  if (find(models, name) != models.end())
    throw InvalidArgument("register_model: the name '" + name +
                          "' is taken; choose another for this model");
  models.emplace_back(name, std::move(factory));
  return true;
}

std::vector<std::string> registered_models() {
  auto& [mutex, models, error] = registry();
  const std::lock_guard lock(mutex);
  std::vector<std::string> names;
  for (const auto& [name, factory] : models) names.push_back(name);
  return names;
}

RegisteredModel make_registered_model(const std::string& name, const ModelShape& shape) {
  ModelFactory factory;
  {
    auto& [mutex, models, error] = registry();
    const std::lock_guard lock(mutex);
    if (const auto found = find(models, name); found != models.end()) factory = found->second;
  }
  if (factory == nullptr)
    throw InvalidArgument("no model is named '" + name + "'" +
                          text::suggestion(name, registered_models()));
  return factory(shape);
}

bool register_model_statically(const std::string& name, ModelFactory factory) noexcept {
  return registered_statically([&] { return register_model(name, std::move(factory)); });
}

void keep_registration_error(const std::string& refusal) {
  const std::lock_guard lock(registry().mutex);
  registry().error = refusal;
}

std::string registration_error() {
  const std::lock_guard lock(registry().mutex);
  return registry().error;
}

}  // namespace amp
