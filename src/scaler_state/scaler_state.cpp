// The state of torch.amp.GradScaler as a file, in and out.
#include "amp/scaler_state.h"

#include <ATen/core/Dict.h>

#include "amp/error.h"
#include "src/checkpoint/python_dict.h"
#include "src/files/strict_json.h"
#include "src/grad_scaler/validate.h"
#include "src/scaler_state/fields.h"

namespace amp {
namespace {

using scaler_state::Fields;

// torch's five, in torch's order, then ours.
constexpr const char* kScale = "scale";
constexpr const char* kGrowthFactor = "growth_factor";
constexpr const char* kBackoffFactor = "backoff_factor";
constexpr const char* kGrowthInterval = "growth_interval";
constexpr const char* kGrowthTracker = "_growth_tracker";
constexpr const char* kHysteresisLeft = "hysteresis_left";
constexpr const char* kConsecutiveSkips = "consecutive_skips";

constexpr const char* kRemedy = "save the state alone: torch.save(scaler.state_dict(), FILE)";

// A dict that is no state of torch's: says whose it is, where that can be told.
void refuse_others(const Fields& fields, const std::filesystem::path& path) {
  if (fields.has(kScale)) return;
  if (fields.has("loss_scaler0")) {
    throw IoError(path, "holds the loss scalers of Apex; read it with load_apex_state");
  }
  if (fields.has("cur_scale")) {
    throw IoError(path, "holds a loss scaler of DeepSpeed; read it with load_deepspeed_state");
  }
  const auto name = fields.field_with(kGrowthTracker);
  if (!name.empty()) {
    throw IoError(path, "holds more than a scaler's state, which is its field " +
                            files::shown(name) + "; in Python " + kRemedy);
  }
}

}  // namespace

void save_state(const GradScalerState& state, const std::filesystem::path& path) {
  c10::impl::GenericDict dict(c10::StringType::get(), c10::AnyType::get());
  if (!state.empty()) {
    scaling::check_state(state);
    dict.insert(kScale, state.scale);
    dict.insert(kGrowthFactor, state.growth_factor);
    dict.insert(kBackoffFactor, state.backoff_factor);
    dict.insert(kGrowthInterval, state.growth_interval);
    dict.insert(kGrowthTracker, state.growth_tracker);
    dict.insert(kHysteresisLeft, state.hysteresis_left);
    dict.insert(kConsecutiveSkips, state.consecutive_skips);
  }
  checkpoint::write_python_dict(path, dict);
}

GradScalerState load_state(const std::filesystem::path& path) {
  const auto data = scaler_state::read_plain_data(path, kRemedy);
  const Fields fields(data, data.root, "the file", path);
  if (fields.size() == 0) return {};
  refuse_others(fields, path);
  return scaler_state::checked({.scale = fields.number(kScale),
                                .growth_factor = fields.number(kGrowthFactor),
                                .backoff_factor = fields.number(kBackoffFactor),
                                .growth_interval = fields.integer(kGrowthInterval),
                                .growth_tracker = fields.integer(kGrowthTracker),
                                .hysteresis_left = fields.integer_or(kHysteresisLeft, 1),
                                .consecutive_skips = fields.integer_or(kConsecutiveSkips, 0)},
                               path);
}

}  // namespace amp
