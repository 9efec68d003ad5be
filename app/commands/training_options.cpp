// The options that `train` and `compare` share.
#include "app/commands/training_options.h"

#include <CLI/CLI.hpp>
#include <string>

#include "app/task_choice/task_choice.h"

namespace ampersand {
namespace {

void add_size_options(CLI::App& command, Settings& s) {
  const std::string group = "Models of text and speech";
  const auto size = [&](const char* name, std::int64_t& field, const char* meaning) {
    command.add_option(name, field, meaning)->group(group);
  };
  command
      .add_option(
          "--size", s.sizes.preset,
          "Shape of gpt: gpt2, gpt2-medium, gpt2-large or gpt2-xl (default: 6 layers of 384)")
      ->group(group);
  size("--layers", s.sizes.layers, "Layers (default: by model)");
  size("--width", s.sizes.width, "Width of a transformer's residual stream, of an LSTM's cells");
  size("--heads", s.sizes.heads, "Heads of a transformer's attention");
  size("--embedding", s.sizes.embedding, "Width of lstm's embedding (default: --width)");
  size("--projection", s.sizes.projection, "Project the output of lstm's cells to this width");
  command.add_option("--dropout", s.sizes.dropout, "Share of values set to 0 while training")
      ->group(group);
  command.add_flag("--tied", s.sizes.tied, "lstm: the output has the embedding's weights")
      ->group(group);
  command.add_flag("--untied", s.sizes.untied, "gpt: the output has weights of its own")
      ->group(group);
  command.add_option("--context", s.context, "Tokens in a sample of text")
      ->capture_default_str()
      ->group(group);
  command
      .add_option(
          "--vocabulary", s.vocabulary,
          "Of text: bytes; bpe-N: byte pairs learned from it; a vocabulary's file; or a folder "
          "with GPT-2's vocab.json and merges.txt")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--held-out", s.held_out, "Share of text or recordings, at the end, for testing")
      ->capture_default_str()
      ->group(group);
}

void add_model_options(CLI::App& command, Settings& s) {
  command
      .add_option(
          "--model", s.model,
          models_in_words() +
              "; LIBRARY.so[:NAME] with a model of your own; FILE.pt of TorchScript (loading "
              "either runs it)")
      ->capture_default_str();
  command.add_option("--data", s.data,
                     data_in_words() + " (default: the first that suits the model)");
  command.add_option("--task", s.task,
                     "What is learned: LIBRARY.so[:NAME] with a task of your own, or " +
                         tasks_in_words() + " (default: by model and data)");
  command
      .add_option("--train-samples", s.train_samples,
                  "Use the first N training samples (images, windows of text, ...); 0: all")
      ->capture_default_str();
  command.add_option("--test-samples", s.test_samples, "Use the first N test samples; 0: all")
      ->capture_default_str();
  command.add_option("--init", s.init,
                     "Weights to begin with: a safetensors file, for gpt also in GPT-2's layout");
  command.add_flag("--augment", s.augment, "Crop and flip the training images at random");
  command.add_flag("--channels-last", s.channels_last,
                   "Images as [batch, height, width, channels]");
}

void add_optimizer_options(CLI::App& command, Settings& s) {
  command.add_option("--optimizer", s.optimizer, "sgd, adam, adamw or lamb")->capture_default_str();
  command.add_option("--lr", s.learning_rate, "Learning rate")->capture_default_str();
  command.add_option("--momentum", s.momentum, "Momentum of sgd")->capture_default_str();
  command.add_option("--weight-decay", s.weight_decay, "Weight decay")->capture_default_str();
  command
      .add_option("--schedule", s.schedule,
                  "Learning rate: constant, or cosine or linear to 0 (skipped steps do not count)")
      ->capture_default_str();
  command.add_option("--warmup", s.warmup, "Steps of linear rise of the learning rate")
      ->capture_default_str();
  command
      .add_option("--ema", s.ema, "Decay of a moving average of the weights, tested too; 0: none")
      ->capture_default_str();
  command
      .add_option("--max-grad-norm", s.max_grad_norm,
                  "Clip the global gradient norm to this; 0: off")
      ->capture_default_str();
}

void add_length_options(CLI::App& command, Settings& s) {
  command.add_option("--epochs", s.epochs, "Passes over the training samples")
      ->capture_default_str();
  command.add_option("--steps", s.steps, "Stop after N micro-batches; 0: after the epochs")
      ->capture_default_str();
  command.add_option("--batch-size", s.batch_size, "Samples in a micro-batch")
      ->capture_default_str();
  command.add_option("--accumulation", s.accumulation, "Micro-batches to a step")
      ->capture_default_str();
}

void add_scaling_options(CLI::App& command, Settings& s) {
  command.add_option(
      "--policy", s.policy,
      "A policy file: which op or module runs in which precision (docs/autocast.md)");
  command.add_option("--loss-scale", s.loss_scale,
                     "dynamic, or N for a fixed scale (default: by precision)");
  command
      .add_option("--max-consecutive-skips", s.max_consecutive_skips,
                  "Stop a run after N skipped steps in a row; 0: never")
      ->capture_default_str();
}

void add_machine_options(CLI::App& command, Settings& s) {
  command.add_option("--device", s.device, "cpu or cuda")->capture_default_str();
  command.add_option("--threads", s.threads, "CPU threads; 0: as many as processors may be used")
      ->capture_default_str();
  command
      .add_option("--cpu-fp32-engine", s.cpu_fp32_engine,
                  "stock (LibTorch's choice) or fastest (that or oneDNN, measured here)")
      ->capture_default_str();
  command.add_option("--output", s.output, "Folder for results (default: runs/<command>-<date>)");
  command
      .add_option("--evaluate-every", s.evaluate_every,
                  "Test every N micro-batches; 0: twice an epoch")
      ->capture_default_str();
  command
      .add_option(
          "--gradient-range", s.gradient_range,
          "Every N micro-batches, measure in fp32 how many gradients fp16 would lose; 0: never")
      ->capture_default_str();
  command
      .add_option("--loader-threads", s.loader_threads,
                  "Threads that make batches ahead; the order is the same for any number")
      ->capture_default_str();
  command.add_flag("--tensorboard", s.tensorboard, "Write TensorBoard event files, too");
  command.add_flag("--overwrite", s.overwrite, "Replace the results that --output already has");
}

}  // namespace

void add_training_options(CLI::App& command, Settings& settings) {
  add_model_options(command, settings);
  add_size_options(command, settings);
  add_length_options(command, settings);
  add_optimizer_options(command, settings);
  add_scaling_options(command, settings);
  add_machine_options(command, settings);
}

void note_given_options(const CLI::App& command, Settings& settings) {
  for (const auto* option : command.get_options()) {
    if (option->count() > 0 && !option->get_lnames().empty())
      settings.given.insert("--" + option->get_lnames().front());
  }
}

}  // namespace ampersand
