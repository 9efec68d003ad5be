// The options that `train` and `compare` share.
#include "app/commands/training_options.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <thread>

#include "amp/cpu_math.h"
#include "amp/error.h"
#include "app/models/model.h"
#include "app/training/optimizers.h"

namespace ampersand {
namespace {

void add_model_options(CLI::App& command, Settings& s) {
  command
      .add_option("--model", s.model, "mlp (784-2048-2048-10), cnn (two convolutions) or resnet18")
      ->capture_default_str();
  command
      .add_option("--data", s.data,
                  "fashion-mnist, or a folder of MNIST-style IDX files, plain or .gz")
      ->capture_default_str();
  command.add_option("--train-samples", s.train_samples, "Use the first N training images; 0: all")
      ->capture_default_str();
  command.add_option("--test-samples", s.test_samples, "Use the first N test images; 0: all")
      ->capture_default_str();
}

void add_optimizer_options(CLI::App& command, Settings& s) {
  command.add_option("--optimizer", s.optimizer, "sgd, adam or adamw")->capture_default_str();
  command.add_option("--lr", s.learning_rate, "Learning rate")->capture_default_str();
  command.add_option("--momentum", s.momentum, "Momentum of sgd")->capture_default_str();
  command.add_option("--weight-decay", s.weight_decay, "Weight decay")->capture_default_str();
  command
      .add_option("--max-grad-norm", s.max_grad_norm,
                  "Clip the global gradient norm to this; 0: off")
      ->capture_default_str();
}

void add_length_options(CLI::App& command, Settings& s) {
  command.add_option("--epochs", s.epochs, "Passes over the training images")
      ->capture_default_str();
  command.add_option("--steps", s.steps, "Stop after N micro-batches; 0: after the epochs")
      ->capture_default_str();
  command.add_option("--batch-size", s.batch_size, "Images in a micro-batch")
      ->capture_default_str();
  command.add_option("--accumulation", s.accumulation, "Micro-batches to a step")
      ->capture_default_str();
}

void add_scaling_options(CLI::App& command, Settings& s) {
  command.add_option("--loss-scale", s.loss_scale,
                     "dynamic, or N for a fixed scale (default: by precision)");
  command
      .add_option("--max-consecutive-skips", s.max_consecutive_skips,
                  "Stop a run after N skipped steps in a row; 0: never")
      ->capture_default_str();
}

void add_machine_options(CLI::App& command, Settings& s) {
  command.add_option("--device", s.device, "cpu or cuda")->capture_default_str();
  command.add_option("--threads", s.threads, "CPU threads; 0: one per core")->capture_default_str();
  command
      .add_option("--cpu-fp32-engine", s.cpu_fp32_engine,
                  "stock (LibTorch's choice) or fastest (that or oneDNN, measured here)")
      ->capture_default_str();
  command.add_option("--output", s.output, "Folder for results (default: runs/<command>-<date>)");
  command.add_flag("--overwrite", s.overwrite, "Replace the results that --output already has");
}

#ifdef AMP_CUDA
constexpr const char* kCudaAbsent = "there is no CUDA device here";
#else
constexpr const char* kCudaAbsent =
    "this program was built for the CPU alone (the CMake preset `cuda` links LibTorch's CUDA part)";
#endif

void check_device(const std::string& device) {
  if (device == "cpu") return;
  if (device != "cuda") {
    throw amp::InvalidArgument("--device must be cpu or cuda, got '" + device + "'");
  }
  if (!at::hasCUDA()) {
    throw amp::UnsupportedError("--device cuda: " + std::string(kCudaAbsent) +
                                "; use --device cpu");
  }
}

void set_engine(const std::string& name) {
  if (name != "stock" && name != "fastest") {
    throw amp::InvalidArgument("--cpu-fp32-engine must be stock or fastest, got '" + name + "'");
  }
  amp::set_cpu_fp32_engine(name == "stock" ? amp::CpuFp32Engine::stock
                                           : amp::CpuFp32Engine::fastest);
}

ImageData load(const Settings& settings) {
  auto data =
      settings.data == "fashion-mnist" ? load_fashion_mnist() : load_idx_folder(settings.data);
  const auto first = [](ImageSet& set, std::int64_t n) {
    if (n > 0 && n < set.count) set = take_first(set, static_cast<std::uint32_t>(n));
  };
  first(data.train, settings.train_samples);
  first(data.test, settings.test_samples);
  return data;
}

// What only the data can tell. It has to come before anything on disk is replaced.
void check_data(const ImageData& data, const Settings& settings) {
  if (settings.batch_size > data.train.count) {
    throw amp::InvalidArgument("--batch-size " + std::to_string(settings.batch_size) +
                               " is larger than the " + std::to_string(data.train.count) +
                               " training images");
  }
  const auto is_constant = [](const ChannelStatistics& channel) { return channel.deviation == 0; };
  if (std::ranges::all_of(pixel_statistics(data.train), is_constant)) {
    throw amp::IoError(settings.data,
                       "all pixels of the training images have the same value; nothing can be "
                       "learned from them, give other data");
  }
  make_model(settings.model,
             {data.train.channels, data.train.height, data.train.width, data.train.classes});
}

}  // namespace

void add_training_options(CLI::App& command, Settings& settings) {
  add_model_options(command, settings);
  add_length_options(command, settings);
  add_optimizer_options(command, settings);
  add_scaling_options(command, settings);
  add_machine_options(command, settings);
}

ImageData prepare(const Settings& settings) {
  check_settings(settings);
  check_device(settings.device);
  make_model(settings.model, {});
  make_optimizer(settings, {});
  set_engine(settings.cpu_fp32_engine);
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(settings.threads > 0 ? settings.threads : cores));
  auto data = load(settings);
  check_data(data, settings);
  return data;
}

}  // namespace ampersand
