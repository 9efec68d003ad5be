// The options that the program's own tasks have.
#include "tasks/common/task_settings.h"

namespace ampersand {
namespace {

ModelSizes sizes_of(const amp::TaskOptions& options) {
  const auto number = [&](const char* name) { return options.option<std::int64_t>(name); };
  return {.preset = options.option<std::string>("--size"),
          .layers = number("--layers"),
          .width = number("--width"),
          .heads = number("--heads"),
          .embedding = number("--embedding"),
          .projection = number("--projection"),
          .dropout = options.option<double>("--dropout"),
          .untied = options.option<bool>("--untied"),
          .tied = options.option<bool>("--tied")};
}

}  // namespace

TaskSettings task_settings(const amp::TaskOptions& options) {
  return {.data = options.data,
          .train_samples = options.train_samples,
          .test_samples = options.test_samples,
          .sizes = sizes_of(options),
          .context = options.option<std::int64_t>("--context"),
          .vocabulary = options.option<std::string>("--vocabulary"),
          .held_out = options.option<double>("--held-out"),
          .augment = options.option<bool>("--augment"),
          .channels_last = options.option<bool>("--channels-last")};
}

}  // namespace ampersand
