// Trains one model in one precision.
#include "app/training/trainer.h"

#include <ATen/Context.h>
#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "amp/amp.h"
#include "app/models/model.h"
#include "app/training/batches.h"
#include "app/training/evaluation.h"
#include "app/training/interrupt.h"
#include "app/training/memory_census.h"
#include "app/training/optimizers.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kEvaluationBatch = 500;
constexpr std::int64_t kEvaluationsPerEpoch = 2;

amp::Recipe recipe_of(const Precision& precision, const Settings& settings) {
  auto recipe = precision.recipe;
  recipe.accumulation = settings.accumulation;
  recipe.max_grad_norm = settings.max_grad_norm;
  recipe.scaler.max_consecutive_skips = settings.max_consecutive_skips;
  return recipe;
}

std::int64_t bytes_of(const std::vector<at::Tensor>& tensors) {
  std::int64_t bytes = 0;
  for (const auto& tensor : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Stopwatch {
 public:
  void start() { begin_ = std::chrono::steady_clock::now(); }
  double stop() {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    total_ += seconds;
    return seconds;
  }
  double total() const { return total_; }

 private:
  std::chrono::steady_clock::time_point begin_;
  double total_ = 0;
};

class Training {
 public:
  Training(const RunPlan& plan, const Settings& settings, const ImageData& data,
           const EventSink& sink)
      : plan_(plan),
        settings_(settings),
        sink_(sink),
        device_(settings.device),
        recipe_(recipe_of(plan.precision, settings)),
        statistics_(pixel_statistics(data.train)),
        batches_(data.train, statistics_,
                 {.batch_size = settings.batch_size, .dtype = recipe_.compute_dtype}),
        test_batches_(data.test, statistics_,
                      {.batch_size = kEvaluationBatch, .dtype = recipe_.compute_dtype}),
        planned_(planned_steps(settings, data)) {
    at::manual_seed(plan.seed);
    model_ = make_model(settings.model, {data.train.channels, data.train.height, data.train.width,
                                         data.train.classes});
    model_->to(device_);
    optimizer_ = make_optimizer(settings, model_->parameters());
    train_step_ = std::make_unique<amp::TrainStep>(*model_, *optimizer_, recipe_);
    weight_bytes_ = bytes_of(model_->parameters()) + bytes_of(model_->buffers());
  }

  Ending run() {
    announce();
    Ending ending = Ending::finished;
    std::string reason;
    try {
      ending = train();
    } catch (const amp::NumericalError& error) {
      ending = Ending::stopped;
      reason = error.what();
    }
    optimizer_->zero_grad();  // a window that was cut short leaves its gradients
    report_memory();
    if (step_ > evaluated_at_ && (ending == Ending::finished || ending == Ending::interrupted))
      evaluate_now();
    report_end(ending, reason);
    return ending;
  }

 private:
  void announce() {
    sink_({{"event", "run"},
           {"run", plan_.run},
           {"precision", plan_.precision.name},
           {"seed", plan_.seed},
           {"device", settings_.device},
           {"policy", "torch"},
           {"loss_scaling", loss_scaling_name(recipe_.loss_scaling)},
           {"planned_steps", planned_}});
  }

  // Steps until something ends it. `step_` counts micro-batches from 1.
  Ending train() {
    const auto per_epoch = batches_.batches();
    for (std::int64_t epoch = 0; step_ < planned_; ++epoch) {
      batches_.shuffle(plan_.seed, static_cast<std::uint64_t>(epoch));
      for (std::int64_t i = 0; i < per_epoch && step_ < planned_; ++i) {
        if (interrupted()) return Ending::interrupted;
        const bool finite = one_step(i);
        if (!finite) return Ending::diverged;
        if (evaluation_due()) evaluate_now();
      }
    }
    flush();
    return Ending::finished;
  }

  // The last window may be partly full.
  void flush() {
    const auto report = train_step_->flush();
    if (!report.at_boundary()) return;
    sink_({{"event", "flush"},
           {"run", plan_.run},
           {"step", step_},
           {"scale", report.scale()},
           {"skipped", report.skipped()}});
  }

  // One micro-batch. False if the loss went non-finite and no loss scaling can be waited for.
  bool one_step(std::int64_t i) {
    ++step_;
    clock_.start();
    json event = {{"event", "step"},
                  {"run", plan_.run},
                  {"step", step_},
                  {"epoch", (step_ - 1) / batches_.batches() + 1},
                  {"scale", train_step_->scaler().get_scale()}};
    try {
      const auto report =
          step_ == census_step() ? counted_step(i) : plain_step(batches_.get(i).to(device_), [] {});
      event["skipped"] = report.skipped();
      if (const auto norm = report.grad_norm()) event["grad_norm"] = *norm;
    } catch (const amp::NumericalError&) {  // one skip too many; it is a step like those before it
      event["skipped"] = true;
      report_step(event, i);
      throw;
    }
    report_step(event, i);
    return std::isfinite(loss_) || recipe_.loss_scaling != amp::LossScaling::none;
  }

  void report_step(json& event, std::int64_t i) {
    const double seconds = clock_.stop();
    time_window(seconds,
                std::min(settings_.batch_size, batches_.samples() - i * settings_.batch_size));
    event["loss"] = loss_;
    event["seconds"] = seconds;
    sink_(event);
  }

  // Keeps the speed of each window that is like all others: not the first, not the counted one.
  void time_window(double seconds, std::int64_t samples) {
    window_seconds_ += seconds;
    window_samples_ += samples;
    if (step_ % recipe_.accumulation != 0) return;
    if (step_ > 2 * recipe_.accumulation) {
      speeds_.push_back(static_cast<double>(window_samples_) / window_seconds_);
    }
    window_seconds_ = 0;
    window_samples_ = 0;
  }

  amp::StepReport plain_step(const Batch& batch, const std::function<void()>& after_forward) {
    return (*train_step_)([&] {
      auto loss = at::cross_entropy_loss(model_->forward(batch.images), batch.labels);
      after_forward();
      loss_ = loss.item<double>();
      return loss;
    });
  }

  // The first micro-batch of the second window: all before it pays for set-up, all after it are
  // like it.
  std::int64_t census_step() const { return recipe_.accumulation + 1; }

  // A step that also counts what is alive after its forward pass, and the gradients its backward
  // pass makes.
  amp::StepReport counted_step(std::int64_t i) {
    MemoryCensus census(watch_, model_->parameters());
    std::vector<std::pair<at::Tensor, unsigned>> hooks;
    for (auto& parameter : model_->parameters()) {
      hooks.emplace_back(parameter, parameter.register_hook([this](const at::Tensor& gradient) {
        gradient_bytes_ += static_cast<std::int64_t>(gradient.nbytes());
      }));
    }
    const auto report =
        plain_step(batches_.get(i).to(device_), [&] { after_forward_ = census.live(); });
    for (auto& [parameter, hook] : hooks) parameter.remove_hook(hook);
    return report;
  }

  // Between two steps nothing is alive but the weights and what the optimizer keeps.
  void report_memory() {
    if (step_ < census_step() || !device_.is_cpu()) return;
    sink_({{"event", "memory"},
           {"run", plan_.run},
           {"weights", weight_bytes_},
           {"copies", after_forward_.copies},
           {"masters", 0},
           {"gradients", gradient_bytes_},
           {"optimizer", watch_.live_bytes() - weight_bytes_},
           {"activations", after_forward_.floating},
           {"integers", after_forward_.integer},
           {"other", after_forward_.other}});
  }

  bool evaluation_due() {
    const auto per_epoch = batches_.batches();
    const auto every =
        std::max<std::int64_t>(1, (per_epoch + kEvaluationsPerEpoch - 1) / kEvaluationsPerEpoch);
    const auto in_epoch = (step_ - 1) % per_epoch + 1;
    return in_epoch == per_epoch || in_epoch % every == 0;
  }

  void evaluate_now() {
    const auto result = evaluate(*model_, test_batches_, recipe_.compute_dtype);
    evaluated_at_ = step_;
    sink_({{"event", "evaluation"},
           {"run", plan_.run},
           {"step", step_},
           {"test_loss", result.loss},
           {"test_accuracy", result.accuracy}});
  }

  void report_end(Ending ending, const std::string& reason) {
    static const char* const kNames[] = {"finished", "diverged", "stopped", "interrupted"};
    json event = {{"event", "end"},
                  {"run", plan_.run},
                  {"ending", kNames[static_cast<int>(ending)]},
                  {"step", step_},
                  {"seconds", clock_.total()},
                  {"final_scale", train_step_->scaler().get_scale()}};
    if (device_.is_cpu()) event["peak_memory_bytes"] = watch_.peak_bytes();
    if (!reason.empty()) event["reason"] = reason;
    // The median: on a shared machine a mean tells of the neighbours.
    if (!speeds_.empty()) event["samples_per_second"] = median(speeds_);
    sink_(event);
  }

  MemoryWatch watch_;  // first, so that it sees every tensor of the run come and go
  const RunPlan& plan_;
  const Settings& settings_;
  const EventSink& sink_;
  c10::Device device_;
  amp::Recipe recipe_;
  PixelStatistics statistics_;
  ImageBatches batches_;
  ImageBatches test_batches_;
  std::int64_t planned_;
  std::shared_ptr<Classifier> model_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::unique_ptr<amp::TrainStep> train_step_;
  Stopwatch clock_;
  std::int64_t step_ = 0;
  double loss_ = 0;  // of the last micro-batch
  std::int64_t evaluated_at_ = 0;
  std::int64_t weight_bytes_ = 0;
  std::int64_t gradient_bytes_ = 0;
  LiveBytes after_forward_;
  double window_seconds_ = 0;
  std::int64_t window_samples_ = 0;
  std::vector<double> speeds_;  // samples a second, of each window
};

}  // namespace

std::int64_t planned_steps(const Settings& settings, const ImageData& data) {
  const std::int64_t samples = data.train.count;
  const auto per_epoch = (samples + settings.batch_size - 1) / settings.batch_size;
  return settings.steps > 0 ? settings.steps : per_epoch * settings.epochs;
}

Ending train(const RunPlan& plan, const Settings& settings, const ImageData& data,
             const EventSink& sink) {
  return Training(plan, settings, data, sink).run();
}

}  // namespace ampersand
