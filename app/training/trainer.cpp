// Trains one model in one precision.
#include "app/training/trainer.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "amp/amp.h"
#include "app/models/model.h"
#include "app/training/batches.h"
#include "app/training/ema.h"
#include "app/training/evaluation.h"
#include "app/training/interrupt.h"
#include "app/training/optimizers.h"
#include "app/training/pace.h"
#include "app/training/run_state.h"
#include "app/training/schedule.h"
#include "app/training/step_memory.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kEvaluationBatch = 500;
constexpr std::int64_t kEvaluationsPerEpoch = 2;

std::int64_t bytes_of(const amp::NamedTensors& tensors) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

class Training {
 public:
  Training(const RunPlan& plan, const Settings& settings, const ImageData& data,
           const EventSink& sink)
      : plan_(plan),
        settings_(settings),
        data_(data),
        sink_(sink),
        device_(settings.device),
        recipe_(plan.precision.recipe),
        statistics_(pixel_statistics(data.train)),
        batches_(
            data.train, statistics_,
            {settings.batch_size, recipe_.compute_dtype, settings.augment, settings.channels_last}),
        test_batches_(data.test, statistics_,
                      {kEvaluationBatch, recipe_.compute_dtype, false, settings.channels_last}),
        planned_(planned_steps(settings, data)),
        pace_(recipe_.accumulation) {
    memory_.set_data_aside();
    at::manual_seed(plan.seed);
    model_ = make_model(settings.model, shape_of(data));
    model_->to(device_);
    optimizer_ = make_optimizer(settings, model_->parameters());
    train_step_ = model_->train_step(*optimizer_, recipe_);
    if (settings.ema > 0) ema_.emplace(*train_step_, settings.ema);
    if (plan.resume.has_value()) resume(*plan.resume);
    memory_.know(*model_, *train_step_, ema_.has_value() ? bytes_of(ema_->average()) : 0);
  }

  Ending run() {
    if (!plan_.resume.has_value()) announce();
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
    if (ending == Ending::finished || ending == Ending::interrupted) {
      if (step_ > evaluated_at_) evaluate_now();
      if (step_ > saved_at_) save();
    }
    report_end(ending, reason);
    return ending;
  }

 private:
  void send(json event) {
    event["run"] = plan_.run;
    sink_(event);
  }

  void announce() {
    send({{"event", "run"},
          {"precision", plan_.precision.name},
          {"seed", plan_.seed},
          {"device", settings_.device},
          {"policy", policy().name()},
          {"loss_scaling", loss_scaling_name(recipe_.loss_scaling)},
          {"recipe", json::parse(recipe_.to_json())},
          {"planned_steps", planned_}});
  }

  void resume(const amp::Checkpoint& from) {
    from.restore(*train_step_);
    if (ema_.has_value()) ema_->load(from.tensors("ema"));
    step_ = first_ = saved_at_ = from.step();
    evaluated_at_ = step_;
    updates_ = run_state_of(from).updates;
  }

  // Steps until something ends it. `step_` counts micro-batches from 1.
  Ending train() {
    if (step_ == 0 && settings_.checkpoint_every > 0) save();
    const auto per_epoch = batches_.batches();
    while (step_ < planned_) {
      const auto epoch = step_ / per_epoch;
      batches_.shuffle(plan_.seed, static_cast<std::uint64_t>(epoch));
      for (auto i = step_ % per_epoch; i < per_epoch && step_ < planned_; ++i) {
        if (interrupted() && train_step_->at_boundary()) return Ending::interrupted;
        const bool finite = one_step(i);
        if (!finite) return Ending::diverged;
        if (evaluation_due()) evaluate_now();
        if (saving_due()) save();
      }
    }
    flush();
    return Ending::finished;
  }

  // The last window may be partly full.
  void flush() {
    const auto report = train_step_->flush();
    if (!report.at_boundary()) return;
    after_step(report);
    send({{"event", "flush"},
          {"step", step_},
          {"scale", report.scale()},
          {"skipped", report.skipped()}});
  }

  void after_step(const amp::StepReport& report) {
    if (!report.stepped()) return;
    ++updates_;
    if (ema_.has_value()) ema_->update();
  }

  // The rate of the step to come, whose micro-batch this is.
  double set_learning_rate() {
    const auto windows = (planned_ + recipe_.accumulation - 1) / recipe_.accumulation;
    const double rate = learning_rate(
        {settings_.schedule, settings_.learning_rate, settings_.warmup, windows}, updates_);
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(rate);
    return rate;
  }

  // One micro-batch. False if the loss went non-finite and no loss scaling can be waited for.
  bool one_step(std::int64_t i) {
    ++step_;
    pace_.start();
    json event = {{"event", "step"},
                  {"step", step_},
                  {"epoch", (step_ - 1) / batches_.batches() + 1},
                  {"lr", set_learning_rate()},
                  {"scale", train_step_->scaler().get_scale()}};
    const auto samples =
        std::min(settings_.batch_size, batches_.samples() - i * settings_.batch_size);
    try {
      const auto report = step_ == census_step() ? counted_step(i)
                          : explaining()         ? explained_step(i)
                                                 : plain_step(i, [] {});
      after_step(report);
      event["skipped"] = report.skipped();
      if (const auto norm = report.grad_norm()) event["grad_norm"] = *norm;
    } catch (const amp::NumericalError&) {  // one skip too many; it is a step like those before it
      event["skipped"] = true;
      report_step(event, samples);
      throw;
    }
    report_step(event, samples);
    return std::isfinite(loss_) || recipe_.loss_scaling != amp::LossScaling::none;
  }

  void report_step(json& event, std::int64_t samples) {
    event["seconds"] = pace_.stop(samples);
    event["loss"] = loss_;
    send(event);
  }

  amp::StepReport plain_step(std::int64_t i, const std::function<void()>& after_forward) {
    const auto batch = batches_.get(i).to(device_);
    return (*train_step_)([&] {
      auto loss = model_->loss(model_->forward(batch.images), batch.labels);
      after_forward();
      loss_ = loss.item<double>();
      return loss;
    });
  }

  // The first micro-batch of the second window: all before it pays for set-up, all after it are
  // like it.
  std::int64_t census_step() const { return first_ + recipe_.accumulation + 1; }

  amp::StepReport counted_step(std::int64_t i) {
    return memory_.count(*model_,
                         [&](const auto& after_forward) { return plain_step(i, after_forward); });
  }

  amp::OpPolicy policy() const {
    return recipe_.policy.has_value() ? *recipe_.policy : amp::OpPolicy::fast(device_.type());
  }

  bool explaining() const { return settings_.explain && step_ == first_ + 1; }

  // Tells which rule each op met.
  amp::StepReport explained_step(std::int64_t i) {
    const amp::CastLog log;
    const auto report = plain_step(i, [] {});
    json ops = json::array();
    for (const auto& count : log.counts()) {
      ops.push_back({{"op", count.op},
                     {"why", policy().explain(count.op)},
                     {"calls", count.calls},
                     {"casts", count.casts},
                     {"bytes", count.bytes},
                     {"served", count.served}});
    }
    send({{"event", "casts"}, {"step", step_}, {"policy", policy().name()}, {"ops", ops}});
    return report;
  }

  // Between two steps nothing is alive but the weights and what the optimizer keeps.
  void report_memory() {
    if (memory_.counted() && device_.is_cpu()) send(memory_.event(*optimizer_));
  }

  bool evaluation_due() {
    const auto per_epoch = batches_.batches();
    const auto every =
        std::max<std::int64_t>(1, (per_epoch + kEvaluationsPerEpoch - 1) / kEvaluationsPerEpoch);
    const auto in_epoch = (step_ - 1) % per_epoch + 1;
    return in_epoch == per_epoch || in_epoch % every == 0;
  }

  void evaluate_now() {
    const auto result = evaluate(*model_, test_batches_, recipe_);
    evaluated_at_ = step_;
    json event = {{"event", "evaluation"},
                  {"step", step_},
                  {"test_loss", result.loss},
                  {"test_accuracy", result.accuracy}};
    if (ema_.has_value()) {
      const BorrowedWeights average(*train_step_, ema_->average());
      const auto averaged = evaluate(*model_, test_batches_, recipe_);
      event["ema_test_loss"] = averaged.loss;
      event["ema_test_accuracy"] = averaged.accuracy;
    }
    send(event);
  }

  bool saving_due() const {
    const auto every = settings_.checkpoint_every;
    return every > 0 && train_step_->at_boundary() && step_ / every > saved_at_ / every;
  }

  void save() {
    if (plan_.checkpoints.empty()) return;
    amp::CheckpointExtras extras;
    extras.about = run_state_json(settings_, plan_, data_, statistics_, updates_).dump();
    if (ema_.has_value()) extras.tensors["ema"] = ema_->average();
    amp::save_checkpoint(plan_.checkpoints, *train_step_, step_, extras);
    saved_at_ = step_;
  }

  void report_end(Ending ending, const std::string& reason) {
    static const char* const kNames[] = {"finished", "diverged", "stopped", "interrupted"};
    json event = {{"event", "end"},
                  {"ending", kNames[static_cast<int>(ending)]},
                  {"step", step_},
                  {"seconds", pace_.seconds()},
                  {"final_scale", train_step_->scaler().get_scale()}};
    if (device_.is_cpu()) event["peak_memory_bytes"] = memory_.peak_bytes();
    if (!reason.empty()) event["reason"] = reason;
    if (const auto speed = pace_.samples_per_second()) event["samples_per_second"] = *speed;
    send(event);
  }

  StepMemory memory_;  // first, so that it sees every tensor of the run come and go
  const RunPlan& plan_;
  const Settings& settings_;
  const ImageData& data_;
  const EventSink& sink_;
  c10::Device device_;
  amp::Recipe recipe_;
  PixelStatistics statistics_;
  ImageBatches batches_;
  ImageBatches test_batches_;
  std::int64_t planned_;
  Pace pace_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::unique_ptr<amp::TrainStep> train_step_;
  std::optional<Ema> ema_;
  std::int64_t step_ = 0;          // micro-batches
  std::int64_t first_ = 0;         // where this process began
  std::int64_t updates_ = 0;       // steps of the optimizer
  double loss_ = 0;                // of the last micro-batch
  std::int64_t evaluated_at_ = 0;  // the step of the last evaluation
  std::int64_t saved_at_ = -1;     // the step of the last checkpoint
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
