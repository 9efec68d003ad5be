// What a checkpoint of the program says about its run.
#include "app/training/run_state.h"

#include <ATen/Parallel.h>

#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include "amp/cpu_math.h"
#include "amp/error.h"
#include "amp/version.h"
#include "app/files/utf8.h"
#include "app/files/whereabouts.h"
#include "app/models/model.h"
#include "app/task_choice/task_choice.h"
#include "app/task_choice/task_json.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// LIBRARY.so:NAME is the file and what follows it; everything else is a file or a name.
std::size_t file_length(const std::string& model) {
  const auto mark = model.rfind(".so:");
  return mark == std::string::npos ? model.size() : mark + 3;
}

json library_whereabouts(const std::string& model, const fs::path& run) {
  return whereabouts(model.substr(0, file_length(model)), run);
}

// As it is found now.
Settings found_settings(const json& about, const fs::path& checkpoint) {
  auto settings = settings_of(about.at("settings"));
  const auto run = checkpoint / ".." / "..";
  settings.data = found_again(about.value("data_at", json()), run, settings.data);
  for (auto [place, name] : {std::pair{"model_at", &settings.model}, {"task_at", &settings.task}}) {
    const auto length = file_length(*name);
    *name = found_again(about.value(place, json()), run, name->substr(0, length)) +
            name->substr(length);
  }
  return settings;
}

}  // namespace

json run_state_json(const Settings& settings, const RunPlan& plan, const amp::Task& task,
                    std::int64_t updates) {
  auto stored = settings_json(settings);
  stored["model"] = escaped_name(absolute_model(settings.model));
  stored["task"] = escaped_name(absolute_model(settings.task));
  const bool engine_matters = amp::cpu_half_math() || amp::cpu_bf16_math() ||
                              amp::cpu_fp32_engine() == amp::CpuFp32Engine::fastest;
  json about = {{"ampersand", amp::version()},
                {"settings", stored},
                {"precision", plan.precision.name},
                {"recipe", json::parse(plan.precision.recipe.to_json())},
                {"seed", plan.seed},
                {"updates", updates},
                {"threads", at::get_num_threads()},
                {"cpu_fast_engine", engine_matters ? amp::cpu_fast_engine() : ""},
                {"half_math", amp::cpu_half_math()},
                {"bf16_math", amp::cpu_bf16_math()}};
  const auto run = plan.checkpoints.parent_path();
  if (!is_built_in_data(settings.data)) about["data_at"] = whereabouts(settings.data, run);
  if (is_path(settings.model)) about["model_at"] = library_whereabouts(settings.model, run);
  if (is_path(settings.task)) about["task_at"] = library_whereabouts(settings.task, run);
  about["data_content"] = content_of(task, settings.data);
  about["task"] = task.name();
  about.update(state_of(task));  // its names were checked before (check_answers)
  return about;
}

RunState run_state_of(const amp::Checkpoint& checkpoint) {
  try {
    const auto about = json::parse(checkpoint.about());
    RunState state;
    state.settings = found_settings(about, checkpoint.path());
    state.task = about;
    state.precision = {about.at("precision"), amp::Recipe::from_json(about.at("recipe").dump())};
    state.seed = about.at("seed");
    state.updates = about.at("updates");
    state.threads = about.at("threads");
    state.cpu_fast_engine = about.at("cpu_fast_engine");
    state.half_math = about.at("half_math");
    state.bf16_math = about.at("bf16_math");
    return state;
  } catch (const json::exception&) {
    throw amp::IoError(checkpoint.path(), "is a checkpoint, but not one of `ampersand train`");
  }
}

void take_over_cpu_math(const RunState& state) {
  if (!state.cpu_fast_engine.empty()) amp::fix_cpu_fast_engine(state.cpu_fast_engine);
  if (state.half_math) amp::set_cpu_half_math(true);
  if (state.bf16_math) amp::set_cpu_bf16_math(true);
}

amp::Checkpoint find_checkpoint(const fs::path& where) {
  std::error_code error;
  if (!fs::is_directory(where, error)) {
    constexpr const char* kRemedy = "; give one that `ampersand train` wrote";
    if (!error) throw amp::IoError(where, std::string("not a folder") + kRemedy);
    if (error == std::errc::no_such_file_or_directory)
      throw amp::IoError(where, std::string("no such folder") + kRemedy);
    throw amp::IoError(where, "cannot be opened (" + error.message() + ")" + kRemedy);
  }
  if (fs::exists(where / "manifest.json", error)) return amp::Checkpoint::open(where);
  const auto inner = where / "checkpoints";
  const auto folder = fs::is_directory(inner, error) ? inner : where;
  std::vector<std::string> damaged;
  auto found = amp::Checkpoint::newest(folder, &damaged);
  for (const auto& line : damaged)
    std::fprintf(stderr, "ampersand: passed over a damaged checkpoint: %s\n", line.c_str());
  if (!found.has_value())
    throw amp::IoError(folder, damaged.empty() ? "has no checkpoint; train again, with "
                                                 "--checkpoint-every for one along the way"
                                               : "has no whole checkpoint; train again");
  return std::move(*found);
}

amp::NamedTensors stored_weights(const amp::Checkpoint& checkpoint, bool ema) {
  if (ema && !checkpoint.has("ema"))
    throw amp::InvalidArgument("--ema: " + checkpoint.path().string() +
                               " has no moving average; train with --ema");
  return checkpoint.tensors(ema ? "ema" : "weights");
}

}  // namespace ampersand
