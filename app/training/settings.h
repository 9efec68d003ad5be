// Everything a user may say about a training run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ampersand {

struct Settings {
  std::string model = "cnn";
  std::string data = "fashion-mnist";  // or a folder of IDX files
  std::int64_t train_samples = 0;      // use the first N; 0: all
  std::int64_t test_samples = 0;
  std::string optimizer = "sgd";  // sgd, adam or adamw
  double learning_rate = 0.05;
  double momentum = 0.9;  // of sgd
  double weight_decay = 0;
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
  std::filesystem::path output;  // empty: runs/<command>
  bool overwrite = false;
};

// Throws amp::InvalidArgument naming the option, the rule and the value. Needs no data.
void check_settings(const Settings& settings);

// The part of the settings that belongs in results.json.
nlohmann::json settings_json(const Settings& settings);

}  // namespace ampersand
