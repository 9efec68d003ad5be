// Trains one model in one precision.
#include "app/training/trainer.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "amp/amp.h"
#include "app/data/mappings.h"
#include "app/models/initial_weights.h"
#include "app/models/model.h"
#include "app/models/model_error.h"
#include "app/models/weight_values.h"
#include "app/tasks/task.h"
#include "app/terminal/interrupt.h"
#include "app/training/batch_loader.h"
#include "app/training/ema.h"
#include "app/training/fp32_gradients.h"
#include "app/training/gradient_range.h"
#include "app/training/optimizers.h"
#include "app/training/pace.h"
#include "app/training/perturbation.h"
#include "app/training/run_events.h"
#include "app/training/run_state.h"
#include "app/training/schedule.h"
#include "app/training/step_guard.h"
#include "app/training/step_memory.h"

namespace ampersand {
namespace {

using nlohmann::json;

constexpr std::int64_t kEvaluationsPerEpoch = 2;

std::int64_t bytes_of(const amp::NamedTensors& tensors) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

// Images and spectrograms come in the recipe's dtype, which outside of autocast does not go with fp32
// weights.
Batch widened(Batch batch) {
  for (auto& input : batch.inputs) {
    if (input.is_floating_point()) input = input.to(c10::kFloat);
  }
  return batch;
}

class Training {
 public:
  Training(const RunPlan& plan, const Settings& settings, const Task& task, const EventSink& sink)
      : plan_(plan),
        settings_(settings),
        task_(task),
        sink_(sink),
        device_(settings.device),
        recipe_(plan.precision.recipe),
        batches_(task.training_batches(settings.batch_size, recipe_.compute_dtype)),
        test_batches_(task.test_batches(recipe_.compute_dtype)),
        loader_(*batches_, settings.loader_threads),
        planned_(planned_steps(settings, task.training_samples())),
        pace_(recipe_.accumulation) {
    memory_.set_data_aside();
    at::manual_seed(plan.seed);
    model_ = task.make_model();
    if (!settings.init.empty() && !plan.resume.has_value())
      load_initial_weights(*model_, settings.init);
    if (!plan.resume.has_value()) check_range(*model_, recipe_.model_dtype);
    if (plan.perturbation.has_value()) perturb(*model_, *plan.perturbation);
    model_->to(device_);
    optimizer_ = make_optimizer(settings, model_->parameters());
    train_step_ = model_->train_step(*optimizer_, recipe_);
    if (settings.ema > 0) ema_.emplace(*train_step_, settings.ema);
    if (plan.resume.has_value()) resume(*plan.resume);
    if (plan.observer != nullptr) plan.observer->begin_training(*model_, *train_step_);
    memory_.know(*model_, *train_step_, ema_.has_value() ? bytes_of(ema_->average()) : 0);
  }

  ~Training() {
    if (plan_.observer != nullptr) plan_.observer->end_training();
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  Ending run() {
    if (!plan_.resume.has_value()) sink_(run_event(plan_, settings_, planned_));
    Ending ending = Ending::finished;
    std::string reason;
    std::exception_ptr failure;
    try {
      ending = train_to_an_end(reason);
    } catch (const ModelError&) {
      failure = std::current_exception();
    } catch (const LostData&) {
      failure = std::current_exception();
    } catch (...) {  // memory runs out wherever it does
      const auto error = std::current_exception();
      const auto thrown = amp::thrown_of(error);
      if (thrown.kind != amp::Thrown::Kind::memory) throw;
      failure = std::make_exception_ptr(ModelError(settings_.model, thrown, error));
    }
    if (failure) {
      ending = Ending::failed;
      save_what_was_done();
    }
    report_end(ending, reason, failure);
    if (failure) std::rethrow_exception(failure);
    return ending;
  }

 private:
  void send(json event) {
    event["run"] = plan_.run;
    sink_(event);
  }

  Ending train_to_an_end(std::string& reason) {
    Ending ending = Ending::finished;
    try {
      ending = train();
    } catch (const amp::NumericalError& error) {
      ending = Ending::stopped;
      reason = error.what();
    }
    optimizer_->zero_grad();  // a group that was cut short leaves its gradients
    report_memory();
    if (ending == Ending::finished || ending == Ending::interrupted) {
      if (interrupted() && step_ > saved_at_) save();  // first what must not be lost
      if (plan_.evaluates && step_ > evaluated_at_) evaluate_now();
      if (step_ > saved_at_) save();
    }
    if (ending == Ending::finished && plan_.showpieces) show_samples();
    if (ending == Ending::finished && !seen_enough_ && done_ > 0 && updates_ == 0) {
      ending = Ending::stopped;
      reason =
          "every step was skipped for gradients that were not finite, so nothing was learned; "
          "train "
          "longer, or begin with a lower --loss-scale";
    }
    return ending;
  }

  // A step that threw changed no weight.
  void save_what_was_done() {
    failed_at_ = step_;
    step_ = done_;
    optimizer_->zero_grad();
    if (done_ <= std::max(first_, saved_at_) || !train_step_->at_boundary()) return;
    try {
      save();
    } catch (const std::exception&) {  // what the model threw is what is told
      return;
    }
  }

  void resume(const amp::Checkpoint& from) {
    from.restore(*train_step_);
    if (ema_.has_value()) ema_->load(from.tensors("ema"));
    step_ = first_ = done_ = saved_at_ = from.step();
    evaluated_at_ = step_;
    updates_ = run_state_of(from).updates;
  }

  // Steps until something ends it. `step_` counts micro-batches from 1.
  Ending train() {
    if (step_ == 0 && settings_.checkpoint_every > 0) save();
    const auto per_epoch = batches_->batches();
    while (step_ < planned_) {
      const auto epoch = step_ / per_epoch;
      loader_.begin_epoch(plan_.seed, static_cast<std::uint64_t>(epoch), step_ % per_epoch);
      for (auto i = step_ % per_epoch; i < per_epoch && step_ < planned_; ++i) {
        if (interrupted() && train_step_->at_boundary()) return Ending::interrupted;
        const bool finite = one_step(i);
        done_ = step_;
        if (!finite) return Ending::diverged;
        if (seen_enough_) return Ending::finished;
        if (evaluation_due()) evaluate_now();
        if (saving_due() || (train_step_->at_boundary() && checkpoint_asked())) save();
      }
    }
    flush();
    return Ending::finished;
  }

  // The last accumulation group may be partly full.
  void flush() {
    const auto report = train_step_->flush();
    if (!report.at_boundary()) return;
    after_step(report);
    json event = {{"event", "flush"},
                  {"step", step_},
                  {"scale", report.scale()},
                  {"skipped", report.skipped()}};
    add_scaler_telemetry(event, report);
    send(event);
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
                  {"epoch", (step_ - 1) / batches_->batches() + 1},
                  {"lr", set_learning_rate()},
                  {"scale", train_step_->scaler().get_scale()}};
    const auto samples = batches_->samples_of(i);
    if (measuring()) {
      measure_gradients();
      pace_.start();  // that is no part of the training
    }
    try {
      const auto report = observed()     ? observed_step()
                          : counting()   ? counted_step()
                          : explaining() ? explained_step()
                                         : plain_step([] {});
      after_step(report);
      event["skipped"] = report.skipped();
      if (const auto norm = report.grad_norm()) event["grad_norm"] = *norm;
      if (report.at_boundary()) add_scaler_telemetry(event, report);
    } catch (const amp::NumericalError&) {  // one skip too many; it is a step like those before it
      event["skipped"] = true;
      report_step(event, samples);
      throw;
    }
    report_step(event, samples);
    return std::isfinite(loss_) || recipe_.loss_scaling != amp::LossScaling::none;
  }

  void report_step(json& event, std::int64_t samples) {
    batch_.reset();
    loss_ = batch_loss_.item<double>();
    batch_loss_.reset();
    event["seconds"] = pace_.stop(samples);
    event["loss"] = loss_;
    send(event);
  }

  at::Tensor loss_of(const Batch& batch) {
    auto loss = model_->loss(model_->forward(batch.inputs), batch.targets);
    guard_.note_loss();
    return loss;
  }

  // What the backward pass throws is the model's, too.
  template <typename Work>
  auto guarded(Work&& work) {
    return guard_.run(
        work, [this] { return !gave_up() && throws_alone(); },
        [this](const std::exception_ptr& error) { fail_in_backward(error); });
  }

  bool gave_up() const {
    const auto most = recipe_.scaler.max_consecutive_skips;
    if (recipe_.loss_scaling == amp::LossScaling::none || most == 0) return false;
    try {
      return train_step_->scaler().state_dict().consecutive_skips >= most;
    } catch (const amp::StateError&) {
      return true;  // it was stopped in its own work
    }
  }

  [[noreturn]] void fail_in_backward(const std::exception_ptr& error) {
    auto thrown = amp::thrown_of(error);
    thrown.pass = amp::Pass::backward;
    throw ModelError(settings_.model, observed() ? thrown : sought(thrown), error);
  }

  void both_passes() {
    at::Tensor loss;
    {
      const auto autocast = recipe_.autocast(device_.type());
      loss = loss_of(batch());
    }
    loss.mul(train_step_->scaler().get_scale()).backward();
  }

  // Whether the passes throw without a TrainStep around them.
  bool throws_alone() {
    const NoSearch no_search;
    try {
      both_passes();
    } catch (...) {
      return true;
    }
    return false;
  }

  // Both passes once more, to learn which op it was.
  amp::Thrown sought(const amp::Thrown& thrown) {
    const NoSearch no_search;
    return located(model_.get(), thrown, [&] { both_passes(); });
  }

  // The micro-batch in work, made when it is first asked for: within a step that is counted, so that
  // it counts.
  const Batch& batch() {
    if (!batch_.has_value()) batch_ = loader_.next().to(device_);
    return *batch_;
  }

  amp::StepReport plain_step(const std::function<void()>& after_forward) {
    return guarded([&] {
      return (*train_step_)([&] {
        auto loss = loss_of(batch());
        after_forward();
        batch_loss_ =
            loss.detach();  // read after the step: to read it here would wait for the device
        return loss;
      });
    });
  }

  // What `replay` needs: whether a gradient of each parameter group was not finite, and how many
  // clean steps the scaler has counted since the scale changed.
  void add_scaler_telemetry(json& event, const amp::StepReport& report) const {
    if (recipe_.loss_scaling == amp::LossScaling::none) return;
    event["found_inf"] = found_inf_by_group(report, *optimizer_);
    if (recipe_.loss_scaling == amp::LossScaling::dynamic)
      event["tracker"] = train_step_->scaler().state_dict().growth_tracker;
  }

  bool observed() const { return plan_.observer != nullptr && plan_.observer->watches(step_); }

  amp::StepReport observed_step() {
    auto& observer = *plan_.observer;
    std::vector<at::Tensor> gradients;
    if (observer.compares_gradients()) {
      const auto wide = widened(batch());
      gradients = guarded([&] {
        return fp32_gradients(*model_, device_, [&] {
          return loss_of(wide).div(static_cast<double>(recipe_.accumulation));
        });
      });
      pace_.start();  // that is no part of the training
    }
    observer.keep(batch(), *model_);
    observer.begin_step(step_, train_step_->scaler().get_scale());
    const NoSearch no_search;
    try {
      if (!gradients.empty()) observer.expect(model_->parameters(), gradients);
      auto report = plain_step([] {});
      seen_enough_ = !observer.end_step(report);
      return report;
    } catch (const ModelError& error) {
      auto seen = observer.fail_step(error.cause()).value_or(error.thrown());
      if (seen.op.empty()) seen = sought(seen);  // the step was not recorded
      throw ModelError(settings_.model, std::move(seen), error.cause());
    } catch (...) {
      observer.fail_step(std::current_exception());
      throw;
    }
  }

  // Whether this is the first micro-batch of the second accumulation group: those before it pay for
  // set-up, and those after it are like it. If an observer looks at that one, it is the first of a
  // later group.
  bool counting() const {
    const auto since = step_ - first_ - 1;
    return !memory_.counted() && since >= recipe_.accumulation && since % recipe_.accumulation == 0;
  }

  amp::StepReport counted_step() {
    return memory_.count(*model_,
                         [&](const auto& after_forward) { return plain_step(after_forward); });
  }

  amp::OpPolicy policy() const { return policy_of(recipe_, device_); }

  bool explaining() const { return settings_.explain && step_ == first_ + 1; }

  // Tells which rule each op met.
  amp::StepReport explained_step() {
    const amp::CastLog log;
    const auto report = plain_step([] {});
    json ops = json::array();
    for (const auto& count : log.counts()) {
      ops.push_back({{"op", count.op},
                     {"why", policy().explain(count.op, count.by)},
                     {"calls", count.calls},
                     {"casts", count.casts},
                     {"bytes", count.bytes},
                     {"served", count.served}});
    }
    send({{"event", "casts"}, {"step", step_}, {"policy", policy().name()}, {"ops", ops}});
    return report;
  }

  bool measuring() const {
    const auto every = settings_.gradient_range;
    return every > 0 && (step_ - 1) % every == 0;
  }

  // Where the gradients of this micro-batch lie when nothing is rounded: a backward pass of its own,
  // in fp32 with the weights as they are, which leaves no trace in the training.
  void measure_gradients() {
    const auto wide = widened(batch());
    const auto range =
        guarded([&] { return gradient_range(*model_, device_, [&] { return loss_of(wide); }); });
    auto event = gradient_range_json(range, train_step_->scaler().get_scale());
    event.update({{"event", "gradients"}, {"step", step_}});
    send(event);
  }

  // Between two steps nothing is alive but the weights and what the optimizer keeps.
  void report_memory() {
    if (memory_.counted() && device_.is_cpu()) send(memory_.event(*optimizer_));
  }

  bool evaluation_due() {
    if (!plan_.evaluates) return false;
    if (settings_.evaluate_every > 0) return step_ % settings_.evaluate_every == 0;
    const auto per_epoch = batches_->batches();
    const auto every =
        std::max<std::int64_t>(1, (per_epoch + kEvaluationsPerEpoch - 1) / kEvaluationsPerEpoch);
    const auto in_epoch = (step_ - 1) % per_epoch + 1;
    return in_epoch == per_epoch || in_epoch % every == 0;
  }

  // One that was interrupted says nothing.
  void evaluate_now() {
    try {
      evaluate();
    } catch (const Interrupted&) {
      evaluated_at_ = step_;
    }
  }

  void evaluate() {
    auto event = evaluation_json(task_.evaluate(*model_, *test_batches_, recipe_));
    evaluated_at_ = step_;
    event.update({{"event", "evaluation"}, {"step", step_}});
    if (ema_.has_value()) {
      const BorrowedWeights average(*train_step_, ema_->average());
      event.update(evaluation_json(task_.evaluate(*model_, *test_batches_, recipe_), "ema_"));
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
    extras.about = run_state_json(settings_, plan_, task_, updates_)
                       .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (ema_.has_value()) extras.tensors["ema"] = ema_->average();
    amp::save_checkpoint(plan_.checkpoints, *train_step_, step_, extras);
    saved_at_ = step_;
  }

  // What a trained model of text writes.
  void show_samples() {
    model_->train(false);
    try {
      for (const auto& text : task_.showpieces(*model_, recipe_, plan_.seed))
        send({{"event", "sample"}, {"step", step_}, {"text", text}});
    } catch (const Interrupted&) {  // the training is over, and saved
    }
    model_->train(true);
  }

  void report_end(Ending ending, const std::string& reason, const std::exception_ptr& failure) {
    static const char* const kNames[] = {"finished", "diverged", "stopped", "interrupted",
                                         "failed"};
    json event = {{"event", "end"},
                  {"ending", kNames[static_cast<int>(ending)]},
                  {"step", failure ? failed_at_ : step_},
                  {"seconds", pace_.seconds()},
                  {"final_scale", train_step_->scaler().get_scale()}};
    if (device_.is_cpu()) event["peak_memory_bytes"] = memory_.peak_bytes();
    if (!reason.empty()) event["reason"] = reason;
    if (failure) event.update(failure_json(failure));
    if (const auto speed = pace_.samples_per_second()) {
      event["samples_per_second"] = *speed;
      if (const auto tokens = task_.tokens_per_sample(); tokens > 0)
        event["tokens_per_second"] = *speed * tokens;
    }
    send(event);
  }

  StepMemory memory_;  // first, so that it sees every tensor of the run come and go
  const RunPlan& plan_;
  const Settings& settings_;
  const Task& task_;
  const EventSink& sink_;
  c10::Device device_;
  amp::Recipe recipe_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<Batches> test_batches_;
  BatchLoader loader_;
  std::optional<Batch> batch_;
  at::Tensor batch_loss_;  // of the last micro-batch, on the device
  std::int64_t planned_;
  Pace pace_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::unique_ptr<amp::TrainStep> train_step_;
  std::optional<Ema> ema_;
  std::int64_t step_ = 0;       // micro-batches
  std::int64_t first_ = 0;      // where this process began
  std::int64_t updates_ = 0;    // steps of the optimizer
  double loss_ = 0;             // of the last micro-batch
  std::int64_t done_ = 0;       // micro-batches that did not fail
  std::int64_t failed_at_ = 0;  // the one that did
  StepGuard guard_;
  bool seen_enough_ = false;       // says the observer
  std::int64_t evaluated_at_ = 0;  // the step of the last evaluation
  std::int64_t saved_at_ = -1;     // the step of the last checkpoint
};

}  // namespace

std::int64_t planned_steps(const Settings& settings, std::int64_t training_samples) {
  const auto per_epoch = (training_samples + settings.batch_size - 1) / settings.batch_size;
  return settings.steps > 0 ? settings.steps : per_epoch * settings.epochs;
}

Ending train(const RunPlan& plan, const Settings& settings, const Task& task,
             const EventSink& sink) {
  std::optional<Training> training;
  try {
    training.emplace(plan, settings, task, sink);
  } catch (const ModelError&) {  // in its constructor: then the run is no longer than that
    if (!plan.resume.has_value())
      sink(run_event(plan, settings, planned_steps(settings, task.training_samples())));
    json end = {{"event", "end"}, {"run", plan.run}, {"ending", "failed"}, {"step", 0}};
    end.update(failure_json(std::current_exception()));
    sink(end);
    throw;
  }
  return training->run();
}

}  // namespace ampersand
