// ampersand export: the weights of a trained model for other programs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "amp/checkpoint.h"
#include "amp/error.h"
#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/machine_choice.h"
#include "app/files/write_file.h"
#include "app/models/model.h"
#include "app/models/weight_values.h"
#include "app/task_choice/task_choice.h"
#include "app/task_choice/token_meaning.h"
#include "app/terminal/formatted.h"
#include "app/training/named_precision.h"
#include "app/training/run_state.h"

namespace ampersand {
namespace {

struct ExportOptions {
  std::string where;
  std::string dtype = "fp32";
  std::string format = "safetensors";
  std::string output;
  bool ema = false;
  bool overwrite = false;
  bool saturate = false;
};

// In a layout that the model's task knows besides its own.
amp::NamedTensors in_layout(const std::string& format, const amp::Checkpoint& checkpoint,
                            const amp::NamedTensors& own) {
  const auto state = run_state_of(checkpoint);
  auto made = stored_model(state.settings, state.task);
  if (!made || !made->layouts.contains(format))
    throw amp::InvalidArgument("--format " + format + " is not for --model " +
                               state.settings.model + "; use --format safetensors");
  const auto model = model_of(std::move(*made), state.settings.model, true);
  model->load(own);
  return model->layouts().at(format).weights();
}

amp::NamedTensors fitted(const amp::NamedTensors& weights, c10::ScalarType dtype,
                         const ExportOptions& options) {
  try {
    return narrowed("export --dtype " + options.dtype, weights, dtype, options.saturate);
  } catch (const amp::InvalidArgument& error) {
    throw amp::InvalidArgument(std::string(error.what()) +
                               "; choose such a --dtype, or pass --saturate");
  }
}

std::map<std::string, std::string> file_metadata(const amp::Checkpoint& checkpoint) {
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (const auto meaning = token_meaning(nlohmann::json::parse(checkpoint.about())))
    metadata.merge(metadata_of(*meaning));
  return metadata;
}

std::vector<std::string> formats_in_order() {
  std::vector<std::string> formats = {"safetensors", "state_dict"};
  const auto layouts = weight_layouts();
  formats.insert(formats.end(), layouts.begin(), layouts.end());
  return formats;
}

int run_export(const ExportOptions& options) {
  const auto dtype = parse_dtype("--dtype", options.dtype);
  const auto formats = formats_in_order();
  if (std::ranges::find(formats, options.format) == formats.end())
    throw amp::InvalidArgument("--format must be " + one_of(formats) + ", got '" + options.format +
                               "'");
  const bool is_own = options.format == "safetensors" || options.format == "state_dict";
  const auto output = output_file(
      !options.output.empty()
          ? options.output
          : "weights-" + options.dtype + (options.format == "state_dict" ? ".pt" : ".safetensors"),
      options.overwrite);
  set_threads(0);
  const auto checkpoint = find_checkpoint(options.where);
  auto own = stored_weights(checkpoint, options.ema);
  const auto weights =
      fitted(is_own ? own : in_layout(options.format, checkpoint, own), dtype, options);
  if (options.format == "state_dict") {
    amp::save_state_dict(output, weights);
  } else {
    amp::save_safetensors(output, weights, file_metadata(checkpoint));
  }
  std::fprintf(is_standard_output(output) ? stderr : stdout, "%zu tensors of step %ld  %s\n",
               weights.size(), static_cast<long>(checkpoint.step()), output.c_str());
  return kOk;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("export", "The weights of a trained model as a file");
  const auto o = std::make_shared<ExportOptions>();
  command->add_option("run", o->where, "A folder that `ampersand train` wrote, or one checkpoint")
      ->required();
  command->add_option("--dtype", o->dtype, "fp32, bf16 or fp16")->capture_default_str();
  command
      ->add_option(
          "--format", o->format,
          "safetensors; state_dict: what torch.load(FILE, weights_only=True) reads; or gpt2: "
          "safetensors in GPT-2's layout, of a gpt")
      ->capture_default_str();
  command->add_option("--output", o->output,
                      "The file (default: weights-DTYPE.safetensors or .pt); -: standard output");
  command->add_flag("--ema", o->ema, "The moving average of the weights");
  command->add_flag(
      "--saturate", o->saturate,
      "Write values beyond the dtype's range as its largest; without it they are refused");
  command->add_flag("--overwrite", o->overwrite, "Replace the file if it is there");
  command->callback([=, &action] { action = [=] { return run_export(*o); }; });
}

}  // namespace ampersand
