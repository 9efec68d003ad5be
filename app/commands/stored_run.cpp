// A trained model out of a checkpoint.
#include "app/commands/stored_run.h"

#include <CLI/CLI.hpp>

#include "amp/error.h"
#include "app/commands/training_options.h"
#include "app/data/data_source.h"

namespace ampersand {
namespace {

constexpr std::int64_t kBatch = 500;

std::string named(const amp::ModelShape& shape) {
  return std::to_string(shape.channels) + " x " + std::to_string(shape.height) + " x " +
         std::to_string(shape.width) + " pixels in " + std::to_string(shape.classes) + " classes";
}

void check_fit(const ImageData& data, const amp::ModelShape& model) {
  const auto shape = shape_of(data);
  if (shape.channels == model.channels && shape.height == model.height &&
      shape.width == model.width && shape.classes <= model.classes)
    return;
  throw amp::InvalidArgument("--data: the model was trained on images of " + named(model) +
                             ", these are of " + named(shape) + "; give data of the same kind");
}

}  // namespace

void add_stored_run_options(CLI::App& command, StoredRunOptions& o) {
  command.add_option("run", o.where, "A folder that `ampersand train` wrote, or one checkpoint")
      ->required();
  command.add_option("--data", o.data, "Other data than it was trained on (the test images)");
  command.add_option("--test-samples", o.test_samples, "Use the first N test images; 0: all")
      ->capture_default_str();
  command.add_option("--precision", o.precision,
                     "fp32, bf16 or fp16: compute under autocast (default: as it was trained)");
  command.add_flag("--ema", o.ema, "Take the moving average of the weights");
  command.add_option("--device", o.device, "cpu or cuda")->capture_default_str();
  command.add_option("--threads", o.threads, "CPU threads; 0: one per core")->capture_default_str();
}

ImageBatches StoredRun::batches() const {
  const bool channels_last = state.settings.at("channels_last");
  return {data.test, state.statistics, {kBatch, recipe().compute_dtype, false, channels_last}};
}

StoredRun open_stored_run(const StoredRunOptions& options) {
  check_device(options.device);
  set_threads(options.threads);
  auto checkpoint = find_checkpoint(options.where);
  auto state = run_state_of(checkpoint);
  if (!options.precision.empty())
    state.precision.recipe.compute_dtype = parse_dtype("--precision", options.precision);
  const bool own_data = options.data.empty();
  const auto samples = own_data && options.test_samples == 0
                           ? state.settings.at("use_test_samples").get<std::int64_t>()
                           : options.test_samples;
  auto data =
      load_data(own_data ? state.settings.at("data").get<std::string>() : options.data, 0, samples);
  check_fit(data, state.shape);
  take_over_cpu_math(state);
  auto model = stored_model(checkpoint, state, options.ema);
  model->to(c10::Device(options.device));
  model->train(false);
  return {std::move(checkpoint), std::move(state), std::move(model), std::move(data)};
}

}  // namespace ampersand
