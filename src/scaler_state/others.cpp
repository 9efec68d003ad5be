// The states of Apex's and DeepSpeed's loss scalers, told in GradScaler's terms.
#include <algorithm>
#include <sstream>
#include <string>

#include "amp/error.h"
#include "amp/scaler_state.h"
#include "src/scaler_state/fields.h"

namespace amp {
namespace {

using scaler_state::Fields;

[[noreturn]] void refuse_fixed(double scale, const std::filesystem::path& path) {
  std::ostringstream message;
  message << "holds a fixed loss scale, " << scale
          << ", which needs no scaler; set Recipe::loss_scaling to LossScaling::fixed and "
             "static_scale to it";
  throw IoError(path, message.str());
}

// Apex counts the clean steps as torch does: it grows at the one that makes them 2000.
GradScalerState apex_state(const Fields& fields, const std::filesystem::path& path) {
  constexpr std::int64_t interval = 2000;
  const double scale = fields.number("loss_scale");
  const auto unskipped = fields.integer("unskipped");
  // A dynamic scaler resets the count there; with a fixed scale Apex goes on counting.
  if (unskipped >= interval) refuse_fixed(scale, path);
  return scaler_state::checked({.scale = scale,
                                .growth_factor = 2.0,
                                .backoff_factor = 0.5,
                                .growth_interval = interval,
                                .growth_tracker = unskipped,
                                .hysteresis_left = 1},
                               path);
}

// Clean steps that count towards the next growth. The clean step with cur_iter = i grows when
// n = i - last_overflow_iter - 1 is a positive multiple of scale_window; ours when tracker + 1
// reaches the interval. So the next step, with i = cur_iter, must find tracker = (n - 1) modulo
// scale_window. n = 0, right after an overflow, would make that -1: one step more than a GradScaler
// ever waits.
std::int64_t growth_tracker(const Fields& fields, const std::filesystem::path& path) {
  const auto next = fields.integer("cur_iter");
  const auto overflow = fields.integer("last_overflow_iter");  // -1: none yet
  const auto window = fields.integer("scale_window");
  if (overflow < -1 || next <= overflow || window < 1) {
    throw IoError(path,
                  "cur_iter, last_overflow_iter and scale_window must be in the order "
                  "-1 <= last_overflow_iter < cur_iter, 1 <= scale_window, got " +
                      std::to_string(next) + ", " + std::to_string(overflow) + " and " +
                      std::to_string(window) + "; write the file again");
  }
  const std::int64_t clean = next - 1 - overflow;
  return clean == 0 ? 0 : (clean - 1) % window;
}

}  // namespace

std::vector<GradScalerState> load_apex_state(const std::filesystem::path& path) {
  const auto data = scaler_state::read_plain_data(
      path, "save Apex's state alone: torch.save(amp.state_dict(), FILE)");
  const Fields fields(data, data.root, "the file", path);
  const std::string beginning = "loss_scaler";
  const auto count = std::max<std::size_t>(fields.count_beginning(beginning), 1);
  std::vector<GradScalerState> states;
  for (std::size_t i = 0; i < count; ++i) {
    states.push_back(apex_state(fields.fields(beginning + std::to_string(i)), path));
  }
  return states;
}

GradScalerState load_deepspeed_state(const std::filesystem::path& path) {
  const auto data = scaler_state::read_plain_data(
      path, "save its plain fields alone; amp/scaler_state.h says how");
  const Fields fields(data, data.root, "the file", path);
  const double scale = fields.number("cur_scale");
  // The optimizer's name for it, or else the loss scaler's.
  const auto* dynamic = fields.has("dynamic_loss_scale") ? "dynamic_loss_scale" : "dynamic";
  if (!fields.boolean(dynamic)) refuse_fixed(scale, path);
  const double factor = fields.number("scale_factor");
  return scaler_state::checked({.scale = scale,
                                .growth_factor = factor,
                                .backoff_factor = 1 / factor,
                                .growth_interval = fields.integer("scale_window"),
                                .growth_tracker = growth_tracker(fields, path),
                                .hysteresis_left = fields.integer_or("cur_hysteresis", 1)},
                               path);
}

}  // namespace amp
