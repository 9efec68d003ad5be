// The rules of each option.
#include "app/settings/settings.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <type_traits>

#include "amp/error.h"
#include "app/files/utf8.h"

namespace ampersand {
namespace {

template <typename Value>
void require(bool holds, const char* option, const char* rule, const Value& value) {
  if (holds) return;
  std::ostringstream message;
  message << option << " must be " << rule << ", got " << value;
  throw amp::InvalidArgument(message.str());
}

// Texts may be names of files, which may have any bytes; JSON has UTF-8.
template <typename Value>
nlohmann::json in_json(const Value& value) {
  if constexpr (std::is_same_v<Value, std::string>) {
    return escaped_name(value);
  } else {
    return value;
  }
}

template <typename Value>
Value from_json(const nlohmann::json& value) {
  if constexpr (std::is_same_v<Value, std::string>) {
    return unescaped_name(value.get<std::string>());
  } else {
    return value.get<Value>();
  }
}

// Larger ones are slips of the hand, or what remains of a number that 64 bits cannot hold.
constexpr std::int64_t kMostSteps = 1'000'000'000'000;
constexpr std::int64_t kMostEpochs = 1'000'000;
constexpr std::int64_t kLargestContext = 1'000'000;
constexpr std::int64_t kLargestSize = 65'536;
constexpr std::int64_t kLargestSeed = 1'000'000'000'000'000;

}  // namespace

void check_settings(const Settings& s) {
  require(s.learning_rate > 0 && std::isfinite(s.learning_rate), "--lr", "finite and positive",
          s.learning_rate);
  require(s.momentum >= 0 && s.momentum < 1, "--momentum", "at least 0 and below 1", s.momentum);
  require(s.weight_decay >= 0 && std::isfinite(s.weight_decay), "--weight-decay", "finite and >= 0",
          s.weight_decay);
  require(s.batch_size >= 1, "--batch-size", ">= 1", s.batch_size);
  require(s.epochs >= 1 && s.epochs <= kMostEpochs, "--epochs", "between 1 and 1e6", s.epochs);
  require(s.steps >= 0 && s.steps <= kMostSteps, "--steps",
          "between 0 and 1e12 (0: until the epochs end)", s.steps);
  require(s.accumulation >= 1 && s.accumulation <= kMostSteps, "--accumulation",
          "between 1 and 1e12", s.accumulation);
  require(s.max_grad_norm >= 0 && std::isfinite(s.max_grad_norm), "--max-grad-norm",
          "finite and >= 0 (0: off)", s.max_grad_norm);
  require(s.max_consecutive_skips >= 0, "--max-consecutive-skips", ">= 0 (0: never stop)",
          s.max_consecutive_skips);
  require(s.threads >= 0 && s.threads <= 1024, "--threads",
          "between 0 and 1024 (0: as many as processors may be used)", s.threads);
  require(s.seed >= 0 && s.seed <= kLargestSeed, "--seed", "between 0 and 1e15", s.seed);
  require(s.schedule == "constant" || s.schedule == "cosine" || s.schedule == "linear",
          "--schedule", "constant, cosine or linear", s.schedule);
  require(s.warmup >= 0 && s.warmup <= kMostSteps, "--warmup", "between 0 and 1e12 steps",
          s.warmup);
  require(s.ema >= 0 && s.ema < 1, "--ema", "at least 0 (off) and below 1", s.ema);
  require(s.checkpoint_every >= 0 && s.checkpoint_every <= kMostSteps, "--checkpoint-every",
          "between 0 (only at the end) and 1e12", s.checkpoint_every);
  require(s.evaluate_every >= 0 && s.evaluate_every <= kMostSteps, "--evaluate-every",
          "between 0 (twice an epoch) and 1e12", s.evaluate_every);
  require(s.gradient_range >= 0 && s.gradient_range <= kMostSteps, "--gradient-range",
          "between 0 (never) and 1e12", s.gradient_range);
  require(s.loader_threads >= 0 && s.loader_threads <= 64, "--loader-threads",
          "between 0 (none of their own) and 64", s.loader_threads);
  require(s.context >= 1 && s.context <= kLargestContext, "--context", "between 1 and 1e6",
          s.context);
  require(s.held_out > 0 && s.held_out < 1, "--held-out", "above 0 and below 1", s.held_out);
  for (const auto& [option, size] : {std::pair{"--layers", s.sizes.layers},
                                     {"--width", s.sizes.width},
                                     {"--heads", s.sizes.heads},
                                     {"--embedding", s.sizes.embedding},
                                     {"--projection", s.sizes.projection}})
    require(size >= 0 && size <= kLargestSize, option, "between 0 (the model's own) and 65536",
            size);
  require(s.sizes.dropout >= 0 && s.sizes.dropout < 1, "--dropout", "at least 0 and below 1",
          s.sizes.dropout);
  require(s.train_samples >= 0, "--train-samples", ">= 0 (0: all)", s.train_samples);
  require(s.test_samples >= 0, "--test-samples", ">= 0 (0: all)", s.test_samples);
}

nlohmann::json settings_json(const Settings& settings) {
  auto object = nlohmann::json::object();
  visit_settings(settings, [&](const char*, const char* name, const auto& value) {
    object[name] = in_json(value);
  });
  return object;
}

Settings settings_of(const nlohmann::json& object) {
  Settings settings;
  visit_settings(settings, [&](const char*, const char* name, auto& value) {
    if (const auto found = object.find(name); found != object.end())
      value = from_json<std::remove_reference_t<decltype(value)>>(*found);
  });
  return settings;
}

Settings resumed_settings(const nlohmann::json& earlier, const Settings& now) {
  // What may change half way: how long, how fast, on what.
  static const std::set<std::string> kChangeable = {"--epochs",
                                                    "--steps",
                                                    "--lr",
                                                    "--weight-decay",
                                                    "--schedule",
                                                    "--warmup",
                                                    "--max-grad-norm",
                                                    "--max-consecutive-skips",
                                                    "--device",
                                                    "--threads",
                                                    "--cpu-fp32-engine",
                                                    "--checkpoint-every",
                                                    "--evaluate-every",
                                                    "--gradient-range",
                                                    "--loader-threads",
                                                    "--tensorboard",
                                                    "--test-samples"};
  const auto whole = settings_json(settings_of(earlier));
  Settings result = now;
  visit_settings(result, [&](const char* option, const char* name, auto& value) {
    using Value = std::remove_reference_t<decltype(value)>;
    const auto before = from_json<Value>(whole.at(name));
    if (!now.is_given(option)) {
      value = before;
    } else if (value != before && !kChangeable.contains(option)) {
      throw amp::InvalidArgument(std::string(option) +
                                 " cannot change in a run that is resumed, "
                                 "which has " +
                                 whole.at(name).dump() + "; leave it out, or start a new run");
    }
  });
  return result;
}

}  // namespace ampersand
