// A micro-batch as metrics.jsonl has it.
#include "app/results/step_event.h"

#include <string>

#include "app/results/json_fields.h"

namespace ampersand {
namespace {

using nlohmann::json;

template <typename Value>
void add(json& object, const char* name, const std::optional<Value>& value) {
  if (value.has_value()) object[name] = *value;
}

}  // namespace

json to_json(const StepEvent& event) {
  json object = {{"event", event.is_flush ? "flush" : "step"},
                 {"run", event.run},
                 {"step", event.step},
                 {"scale", event.scale},
                 {"skipped", event.skipped}};
  add(object, "epoch", event.epoch);
  add(object, "lr", event.learning_rate);
  add(object, "loss", event.loss);
  add(object, "seconds", event.seconds);
  add(object, "grad_norm", event.grad_norm);
  add(object, "found_inf", event.found_inf);
  add(object, "tracker", event.growth_tracker);
  return object;
}

std::optional<StepEvent> step_event(const json& object) {
  const auto kind = object.value("event", "");
  if (kind != "step" && kind != "flush") return std::nullopt;
  StepEvent event{.is_flush = kind == "flush",
                  .run = object.value("run", std::int64_t{0}),
                  .step = object.at("step").get<std::int64_t>(),
                  .epoch = number_in<std::int64_t>(object, "epoch"),
                  .learning_rate = number_in<double>(object, "lr"),
                  .loss = number_in<double>(object, "loss"),
                  .scale = object.value("scale", 1.0),
                  .skipped = object.value("skipped", false),
                  .seconds = number_in<double>(object, "seconds"),
                  .grad_norm = number_in<double>(object, "grad_norm"),
                  .growth_tracker = number_in<std::int64_t>(object, "tracker")};
  if (object.contains("found_inf"))
    event.found_inf = object.at("found_inf").get<std::vector<bool>>();
  return event;
}

}  // namespace ampersand
