// A diagnosis and its evidence as JSON values.
#include "src/inspect/diagnosis_json.h"

#include <cmath>

namespace amp {
namespace inspect {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

const char* origin_name(FirstNonFinite::Origin origin) {
  switch (origin) {
    case FirstNonFinite::Origin::op:
      return "op";
    case FirstNonFinite::Origin::data:
      return "data";
    case FirstNonFinite::Origin::target:
      return "target";
    case FirstNonFinite::Origin::parameter:
      return "parameter";
    case FirstNonFinite::Origin::gradient:
      return "gradient";
  }
  return "op";
}

}  // namespace

Json number_or_null(std::optional<double> number) {
  return number.has_value() && std::isfinite(*number) ? Json(*number) : Json();
}

Json json_of(const Diagnosis& diagnosis) {
  const bool at_step = diagnosis.step >= 0;
  return {{"verdict", amp::verdict_name(diagnosis.verdict)},
          {"fp32_too", diagnosis.fp32_too.has_value() ? Json(*diagnosis.fp32_too) : Json()},
          {"step", at_step ? Json(diagnosis.step) : Json()},
          {"pass", at_step ? Json(pass_name(diagnosis.pass)) : Json()},
          {"op", text_or_null(diagnosis.op)},
          {"module", text_or_null(diagnosis.module)},
          {"parameter", text_or_null(diagnosis.parameter)},
          {"sample", diagnosis.sample.has_value() ? Json(*diagnosis.sample) : Json()},
          {"place", text_or_null(diagnosis.place)},
          {"source", text_or_null(diagnosis.source)},
          {"amax", at_step ? number_or_null(diagnosis.amax) : Json()},
          {"loss_scale", number_or_null(diagnosis.loss_scale)},
          {"remedy", text_or_null(diagnosis.remedy)},
          {"sentence", diagnosis.sentence}};
}

Json json_of(const FirstNonFinite& found) {
  return {{"origin", origin_name(found.origin)},
          {"step", found.step},
          {"pass", pass_name(found.pass)},
          {"op", text_or_null(found.op)},
          {"called_as", text_or_null(found.called_as)},
          {"module", text_or_null(found.module)},
          {"parameter", text_or_null(found.parameter)},
          {"culprits", found.culprits},
          {"dtype", text_or_null(found.dtype)},
          {"input_amax", number_or_null(found.input_amax)},
          {"output_amax", number_or_null(found.output_amax)},
          {"loss_scale", number_or_null(found.loss_scale)},
          {"inputs_finite", found.inputs_finite},
          {"finite_in_wide", found.evaluated ? Json(found.finite_in_wide) : Json()},
          {"wide_amax", found.evaluated ? number_or_null(found.wide_amax) : Json()},
          {"in_cast", found.in_cast},
          {"detail", text_or_null(found.detail)},
          {"place", text_or_null(found.place)}};
}

Json json_of(const Thrown& thrown) {
  static const char* const kKinds[] = {"overflow", "memory", "other"};
  return {{"kind", kKinds[static_cast<int>(thrown.kind)]},
          {"message", thrown.message},
          {"pass", pass_name(thrown.pass)},
          {"op", text_or_null(thrown.op)},
          {"called_as", text_or_null(thrown.called_as)},
          {"module", text_or_null(thrown.module)},
          {"after", text_or_null(thrown.after)},
          {"line", text_or_null(thrown.line)},
          {"format", text_or_null(thrown.format)},
          {"value", number_or_null(thrown.value)}};
}

}  // namespace inspect

std::string to_json(const Diagnosis& diagnosis) {
  return inspect::json_of(diagnosis).dump(1, ' ', false,
                                          nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace amp
