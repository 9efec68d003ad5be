// A Recipe as JSON and back.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "amp/recipe.h"
#include "src/text/suggest.h"

namespace amp {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, c10::ScalarType>, 3> kDtypes = {
    {{"fp32", c10::ScalarType::Float},
     {"bf16", c10::ScalarType::BFloat16},
     {"fp16", c10::ScalarType::Half}}};
constexpr std::array<std::pair<const char*, LossScaling>, 3> kScalings = {
    {{"none", LossScaling::none},
     {"fixed", LossScaling::fixed},
     {"dynamic", LossScaling::dynamic}}};

// Fields by name, in the order of the header. The visitor gets each name with the field itself.
template <typename TheScaler, typename Visit>
void visit_scaler(TheScaler& scaler, Visit visit) {
  visit("init_scale", scaler.init_scale);
  visit("growth_factor", scaler.growth_factor);
  visit("backoff_factor", scaler.backoff_factor);
  visit("growth_interval", scaler.growth_interval);
  visit("hysteresis", scaler.hysteresis);
  visit("min_scale", scaler.min_scale);
  visit("max_scale", scaler.max_scale);
  visit("max_consecutive_skips", scaler.max_consecutive_skips);
}

template <typename TheRecipe, typename Visit>
void visit_recipe(TheRecipe& recipe, Visit visit) {
  visit("compute_dtype", recipe.compute_dtype);
  visit("policy", recipe.policy);
  visit("emulate", recipe.emulate);
  visit("model_dtype", recipe.model_dtype);
  visit("master_weights", recipe.master_weights);
  visit("keep_batchnorm_fp32", recipe.keep_batchnorm_fp32);
  visit("loss_scaling", recipe.loss_scaling);
  visit("static_scale", recipe.static_scale);
  visit("scaler", recipe.scaler);
  visit("max_grad_norm", recipe.max_grad_norm);
  visit("accumulation", recipe.accumulation);
  visit("restore_buffers", recipe.restore_buffers);
}

template <typename Value>
json written(const Value& value) {
  return value;
}
json written(const c10::ScalarType& dtype) {
  for (const auto& [name, value] : kDtypes) {
    if (value == dtype) return name;
  }
  return c10::toString(dtype);
}
json written(const LossScaling& scaling) {
  for (const auto& [name, value] : kScalings) {
    if (value == scaling) return name;
  }
  return nullptr;
}
json written(const std::optional<OpPolicy>& policy) {
  return policy.has_value() ? json::parse(policy->to_json()) : json(nullptr);
}
json written(const GradScalerOptions& scaler) {
  json object = json::object();
  visit_scaler(scaler, [&](const char* name, const auto& value) { object[name] = value; });
  return object;
}

json written(const std::optional<Emulation>& emulate) {
  if (!emulate.has_value()) return nullptr;
  return {{"forward", format_name(emulate->forward)}, {"backward", format_name(emulate->backward)}};
}

[[noreturn]] void refuse(const std::string& field, const std::string& rule, const json& value) {
  throw InvalidArgument("Recipe: " + field + " must be " + rule + ", got " + value.dump());
}

void read(const std::string& field, const json& value, GradScalerOptions& to);
void read(const std::string& field, const json& value, Format& to);
void read(const std::string& field, const json& value, std::optional<Emulation>& to);

template <typename Named>
void read_name(const std::string& field, const json& value, const char* rule, const Named& names,
               typename Named::value_type::second_type& to) {
  for (const auto& [name, meaning] : names) {
    if (value == name) {
      to = meaning;
      return;
    }
  }
  refuse(field, rule, value);
}

void read(const std::string& field, const json& value, bool& to) {
  if (!value.is_boolean()) refuse(field, "true or false", value);
  to = value.get<bool>();
}
void read(const std::string& field, const json& value, double& to) {
  if (!value.is_number()) refuse(field, "a number", value);
  to = value.get<double>();
}
void read(const std::string& field, const json& value, std::int64_t& to) {
  if (!value.is_number_integer()) refuse(field, "a whole number", value);
  to = value.get<std::int64_t>();
}
void read(const std::string& field, const json& value, c10::ScalarType& to) {
  read_name(field, value, "\"fp32\", \"bf16\" or \"fp16\"", kDtypes, to);
}
void read(const std::string& field, const json& value, LossScaling& to) {
  read_name(field, value, "\"none\", \"fixed\" or \"dynamic\"", kScalings, to);
}
void read(const std::string& field, const json& value, std::optional<OpPolicy>& to) {
  if (!value.is_null() && !value.is_object()) refuse(field, "a policy or null", value);
  to = value.is_null() ? std::nullopt : std::optional(OpPolicy::from_json(value.dump()));
}

// Sets each field that `object` names; a name that no field has is an error.
template <typename Visitor>
void read_fields(const json& object, const std::string& prefix, Visitor visit_fields) {
  if (!object.is_object()) {
    refuse(prefix.empty() ? "the text" : prefix.substr(0, prefix.size() - 1), "a JSON object",
           object);
  }
  std::vector<std::string> known;
  visit_fields([&](const char* name, auto& field) {
    known.emplace_back(name);
    if (const auto found = object.find(name); found != object.end())
      read(prefix + name, *found, field);
  });
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw InvalidArgument("Recipe: unknown field '" + prefix + name + "'" +
                            text::suggestion(name, known));
  }
}

void read(const std::string& field, const json& value, Format& to) {
  if (!value.is_string()) refuse(field, "the name of a number format", value);
  to = format_of(value.get<std::string>());
}
void read(const std::string& field, const json& value, std::optional<Emulation>& to) {
  to.reset();
  if (value.is_null()) return;
  Emulation emulation;
  read_fields(value, field + ".", [&](auto visit) {
    visit("forward", emulation.forward);
    visit("backward", emulation.backward);
  });
  to = emulation;
}

void read(const std::string& field, const json& value, GradScalerOptions& to) {
  read_fields(value, field + ".", [&](auto visit) { visit_scaler(to, visit); });
}

}  // namespace

std::string Recipe::to_json() const {
  nlohmann::ordered_json object;
  visit_recipe(*this, [&](const char* name, const auto& value) { object[name] = written(value); });
  return object.dump(2) + "\n";
}

Recipe Recipe::from_json(const std::string& text) {
  const auto object = json::parse(text, nullptr, false);
  if (object.is_discarded()) throw InvalidArgument("Recipe: the text is not JSON");
  Recipe recipe;
  read_fields(object, "", [&](auto visit) { visit_recipe(recipe, visit); });
  recipe.validate();
  return recipe;
}

}  // namespace amp
