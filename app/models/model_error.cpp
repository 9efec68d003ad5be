// What a model threw, and where.
#include "app/models/model_error.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "amp/inspect.h"
#include "app/models/model.h"

namespace ampersand {
namespace {

std::string message_of(const std::string& model, const amp::Thrown& thrown,
                       const std::string& phase) {
  auto sentence = amp::sentence_of(thrown);
  const auto pass = std::string("in the ") + amp::pass_name(thrown.pass) + " pass";
  if (const auto at = sentence.find(pass); !phase.empty() && at != std::string::npos)
    sentence.replace(at, pass.size(), phase);
  return "model " + model + ": " + sentence + "; " + amp::remedy_of(thrown);
}

amp::Inspector inspector_of(Model* model) {
  const amp::InspectorOptions options{.histograms = false, .formats = {}, .flush_every = 0};
  if (model != nullptr && model->module() != nullptr)
    return amp::Inspector(*model->module(), options);
  if (model != nullptr && model->script_module() != nullptr)
    return amp::Inspector(*model->script_module(), options);
  return amp::Inspector(amp::NamedTensors(), options);
}

}  // namespace

ModelError::ModelError(const std::string& model, amp::Thrown thrown, std::exception_ptr cause,
                       const std::string& phase)
    : std::runtime_error(message_of(model, thrown, phase)),
      thrown_(std::move(thrown)),
      cause_(std::move(cause)) {}

ModelError ModelError::of_task(const std::string& task, const std::string& member,
                               amp::Thrown thrown, std::exception_ptr cause) {
  const auto message = "task " + task + ": " + member + " threw: " + thrown.message +
                       "; mend the task, or give it other data";
  return ModelError(Whole{}, message, std::move(thrown), std::move(cause));
}

ModelError ModelError::in_context(const std::string& words) const {
  return ModelError(words + what(), *this);
}

amp::Thrown located(Model* model, const amp::Thrown& before, const std::function<void()>& again) {
  // Another try that asks for as much memory says no more.
  if (before.kind == amp::Thrown::Kind::memory) return before;
  try {
    auto inspector = inspector_of(model);
    inspector.begin_step(0);
    try {
      again();
      return before;
    } catch (const ModelError& error) {
      inspector.fail_step(error.cause());
    } catch (...) {
      inspector.fail_step(std::current_exception());
    }
    const auto found = inspector.evidence().steps.back().thrown.value();
    return found.message == before.message ? found : before;
  } catch (const std::exception&) {
    return before;
  }
}

nlohmann::json thrown_json(const amp::Thrown& thrown) {
  static const char* const kKinds[] = {"overflow", "memory", "other"};
  const auto text = [](const std::string& words) {
    return words.empty() ? nlohmann::json() : nlohmann::json(words);
  };
  return {{"kind", kKinds[static_cast<int>(thrown.kind)]},
          {"message", thrown.message},
          {"pass", amp::pass_name(thrown.pass)},
          {"op", text(thrown.called_as.empty() ? thrown.op : thrown.called_as)},
          {"module", text(thrown.module)},
          {"line", text(thrown.line)},
          {"format", text(thrown.format)}};
}

}  // namespace ampersand
