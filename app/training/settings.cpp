// The rules of each option.
#include "app/training/settings.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "amp/error.h"

namespace ampersand {
namespace {

template <typename Value>
void require(bool holds, const char* option, const char* rule, const Value& value) {
  if (holds) return;
  std::ostringstream message;
  message << option << " must be " << rule << ", got " << value;
  throw amp::InvalidArgument(message.str());
}

// Larger ones are slips of the hand, or what remains of a number that 64 bits cannot hold.
constexpr std::int64_t kMostSteps = 1'000'000'000'000;
constexpr std::int64_t kMostEpochs = 1'000'000;
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
  require(s.threads >= 0 && s.threads <= 1024, "--threads", "between 0 and 1024 (0: one per core)",
          s.threads);
  require(s.seed >= 0 && s.seed <= kLargestSeed, "--seed", "between 0 and 1e15", s.seed);
  require(s.train_samples >= 0, "--train-samples", ">= 0 (0: all)", s.train_samples);
  require(s.test_samples >= 0, "--test-samples", ">= 0 (0: all)", s.test_samples);
}

nlohmann::json settings_json(const Settings& s) {
  return {{"model", s.model},
          {"data", s.data},
          {"epochs", s.epochs},
          {"steps", s.steps},
          {"batch_size", s.batch_size},
          {"optimizer", s.optimizer},
          {"learning_rate", s.learning_rate},
          {"momentum", s.momentum},
          {"weight_decay", s.weight_decay},
          {"accumulation", s.accumulation},
          {"max_grad_norm", s.max_grad_norm},
          {"loss_scale", s.loss_scale.empty() ? "by precision" : s.loss_scale},
          {"max_consecutive_skips", s.max_consecutive_skips},
          {"device", s.device}};
}

}  // namespace ampersand
