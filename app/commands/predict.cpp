// ampersand predict: what a trained model says of each image.
#include <ATen/ops/softmax.h>
#include <c10/core/GradMode.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <sstream>

#include "app/commands/commands.h"
#include "app/commands/exit_status.h"
#include "app/commands/stored_run.h"
#include "app/files/write_file.h"

namespace ampersand {
namespace {

// index,label,predicted,probability: the image's number, what the data calls it, the class of the
// largest logit, and its softmax.
std::string predictions(const StoredRun& run, const c10::Device& device) {
  c10::NoGradGuard no_grad;
  const auto autocast = run.recipe().autocast(device.type());
  std::ostringstream lines;
  lines << "index,label,predicted,probability\n";
  const auto batches = run.batches();
  std::int64_t index = 0;
  for (std::int64_t i = 0; i < batches.batches(); ++i) {
    const auto batch = batches.get(i);
    const auto logits = run.model->forward(batch.images.to(device)).to(c10::kFloat).cpu();
    const auto [probability, predicted] = at::softmax(logits, 1).max(1);
    for (std::int64_t k = 0; k < batch.labels.size(0); ++k) {
      lines << index++ << ',' << batch.labels[k].item<std::int64_t>() << ','
            << predicted[k].item<std::int64_t>() << ',' << probability[k].item<float>() << '\n';
    }
  }
  return lines.str();
}

int run_predict(const StoredRunOptions& options, const std::string& output) {
  const auto run = open_stored_run(options);
  const auto text = predictions(run, c10::Device(options.device));
  if (output.empty()) {
    std::fputs(text.c_str(), stdout);
  } else {
    write_file(output, text);
    std::printf("predictions  %s\n", output.c_str());
  }
  return kOk;
}

}  // namespace

void add_predict(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("predict", "The class of each image by a trained model");
  const auto options = std::make_shared<StoredRunOptions>();
  const auto output = std::make_shared<std::string>();
  add_stored_run_options(*command, *options);
  command->add_option("--output", *output, "A CSV file (default: standard output)");
  command->callback([=, &action] { action = [=] { return run_predict(*options, *output); }; });
}

}  // namespace ampersand
