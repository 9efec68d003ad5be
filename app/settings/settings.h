// Everything a user may say about a training run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

namespace ampersand {

// 0, or an empty preset: the model's own.
struct SizeSettings {
  std::string preset = {};
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t heads = 0;
  std::int64_t embedding = 0;
  std::int64_t projection = 0;
  double dropout = 0;
  bool untied = false;
  bool tied = false;
};

struct Settings {
  std::string model = "cnn";  // or LIBRARY.so, or FILE.pt
  std::string task;           // a registered one's name, or LIBRARY.so; empty: by model and data
  std::string data;           // a name, a folder or a file; empty: by task
  std::int64_t train_samples = 0;  // use the first N; 0: all
  std::int64_t test_samples = 0;
  SizeSettings sizes;                // of models that have several
  std::int64_t context = 256;        // tokens in a sample of text
  std::string vocabulary = "bytes";  // bytes, bpe-N, or a vocabulary's file
  double held_out = 0.1;             // share of a text that is for testing
  std::filesystem::path init;        // weights to begin with; empty: fresh ones
  bool augment = false;              // random crop and flip of the training images
  bool channels_last = false;
  std::string optimizer = "sgd";  // sgd, adam, adamw or lamb
  double learning_rate = 0.05;
  double momentum = 0.9;  // of sgd
  double weight_decay = 0;
  std::string schedule = "constant";  // constant, cosine or linear
  std::int64_t warmup = 0;            // steps
  double ema = 0;                     // decay of the weights' moving average; 0: none
  std::int64_t batch_size = 128;
  std::int64_t epochs = 3;
  std::int64_t steps = 0;  // stop after so many micro-batches; 0: after the epochs
  std::int64_t accumulation = 1;
  double max_grad_norm = 0;
  std::string loss_scale;                    // "", "dynamic" or a number
  std::int64_t max_consecutive_skips = 100;  // 0: never stop for skipped steps
  std::string device = "cpu";
  std::int64_t seed = 0;
  std::int64_t threads = 0;  // 0: one per core
  std::string cpu_fp32_engine = "fastest";
  std::int64_t loader_threads = 0;    // that make batches ahead; 0: the training's own
  std::int64_t checkpoint_every = 0;  // micro-batches; 0: only at the end
  std::int64_t evaluate_every = 0;    // micro-batches; 0: twice an epoch
  std::int64_t gradient_range = 0;  // measure where gradients lie, every N micro-batches; 0: never
  bool tensorboard = false;

  // Of this command, not of the training.
  std::filesystem::path recipe;  // a file; empty: by precision
  std::filesystem::path policy;  // a file; empty: OpPolicy::fast, or what the recipe says
  bool explain = false;          // say which rule each op met
  std::filesystem::path resume;  // the folder of a run to go on with
  bool changed_data = false;     // resume though the data have changed
  std::filesystem::path output;  // empty: runs/<command>
  bool overwrite = false;

  std::set<std::string> given;  // the options that were on the command line: "--lr"
  bool is_given(const std::string& option) const { return given.contains(option); }
};

// Calls visit(option, name in JSON, field) for each setting of the training.
template <typename TheSettings, typename Visit>
void visit_settings(TheSettings& s, Visit visit) {
  visit("--model", "model", s.model);
  visit("--task", "task", s.task);
  visit("--data", "data", s.data);
  visit("--train-samples", "use_train_samples", s.train_samples);
  visit("--test-samples", "use_test_samples", s.test_samples);
  visit("--size", "size", s.sizes.preset);
  visit("--layers", "layers", s.sizes.layers);
  visit("--width", "width", s.sizes.width);
  visit("--heads", "heads", s.sizes.heads);
  visit("--embedding", "embedding", s.sizes.embedding);
  visit("--projection", "projection", s.sizes.projection);
  visit("--dropout", "dropout", s.sizes.dropout);
  visit("--tied", "tied", s.sizes.tied);
  visit("--untied", "untied", s.sizes.untied);
  visit("--context", "context", s.context);
  visit("--vocabulary", "vocabulary", s.vocabulary);
  visit("--held-out", "held_out", s.held_out);
  visit("--augment", "augment", s.augment);
  visit("--channels-last", "channels_last", s.channels_last);
  visit("--optimizer", "optimizer", s.optimizer);
  visit("--lr", "learning_rate", s.learning_rate);
  visit("--momentum", "momentum", s.momentum);
  visit("--weight-decay", "weight_decay", s.weight_decay);
  visit("--schedule", "schedule", s.schedule);
  visit("--warmup", "warmup", s.warmup);
  visit("--ema", "ema", s.ema);
  visit("--batch-size", "batch_size", s.batch_size);
  visit("--epochs", "epochs", s.epochs);
  visit("--steps", "steps", s.steps);
  visit("--accumulation", "accumulation", s.accumulation);
  visit("--max-grad-norm", "max_grad_norm", s.max_grad_norm);
  visit("--loss-scale", "loss_scale", s.loss_scale);
  visit("--max-consecutive-skips", "max_consecutive_skips", s.max_consecutive_skips);
  visit("--device", "device", s.device);
  visit("--seed", "seed", s.seed);
  visit("--threads", "threads", s.threads);
  visit("--cpu-fp32-engine", "cpu_fp32_engine", s.cpu_fp32_engine);
  visit("--checkpoint-every", "checkpoint_every", s.checkpoint_every);
  visit("--loader-threads", "loader_threads", s.loader_threads);
  visit("--evaluate-every", "evaluate_every", s.evaluate_every);
  visit("--gradient-range", "gradient_range", s.gradient_range);
  visit("--tensorboard", "tensorboard", s.tensorboard);
}

// Throws amp::InvalidArgument naming the option, the rule and the value. Needs no data.
void check_settings(const Settings& settings);

// The settings of the training, for results.json and for checkpoints.
nlohmann::json settings_json(const Settings& settings);

// Back again; settings that an earlier version did not have keep their default.
Settings settings_of(const nlohmann::json& object);

// The settings of an earlier run, changed by what was given now. Throws amp::InvalidArgument for an
// option that would make it another training: model, data, order, optimizer, batch.
Settings resumed_settings(const nlohmann::json& earlier, const Settings& now);

}  // namespace ampersand
