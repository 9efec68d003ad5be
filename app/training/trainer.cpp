// Trains one model in one precision: the loop, and how it ends.
#include "app/training/trainer.h"

#include <cmath>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "amp/error.h"
#include "app/files/mappings.h"
#include "app/terminal/interrupt.h"
#include "app/training/checkpoints.h"
#include "app/training/evaluations.h"
#include "app/training/inspected_steps.h"
#include "app/training/observers.h"
#include "app/training/run_events.h"

namespace ampersand {
namespace {

using nlohmann::json;

class Training {
 public:
  Training(const RunPlan& plan, const Settings& settings, const amp::Task& task,
           const EventSink& sink)
      : run_(plan, settings, task, sink) {}

  Ending run() {
    if (!run_.plan.resume.has_value()) run_.sink(run_event(run_.plan, run_.settings, run_.planned));
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
      failure = std::make_exception_ptr(ModelError(run_.settings.model, thrown, error));
    }
    const auto last = run_.step;
    if (failure) {
      ending = Ending::failed;
      run_.step = run_.done;
      run_.optimizer->zero_grad();
      checkpoints_.save_what_was_done();
    }
    run_.send(end_event(run_, ending, last, reason, failure));
    if (failure) std::rethrow_exception(failure);
    return ending;
  }

 private:
  Ending train_to_an_end(std::string& reason) {
    Ending ending = Ending::finished;
    try {
      ending = train();
    } catch (const amp::NumericalError& error) {
      ending = Ending::stopped;
      reason = error.what();
    }
    run_.optimizer->zero_grad();  // a group that was cut short leaves its gradients
    for (auto* observer : observers_) observer->after_training();
    if (ending == Ending::finished || ending == Ending::interrupted) {
      if (interrupted()) checkpoints_.complete();  // first what must not be lost
      evaluations_.complete();
      checkpoints_.complete();
    }
    if (ending != Ending::finished) return ending;
    if (run_.plan.showpieces) evaluations_.show_samples();
    if (!inspected_.seen_enough() && run_.done > 0 && run_.updates == 0) {
      ending = Ending::stopped;
      reason =
          "every step was skipped for gradients that were not finite, so nothing was learned; "
          "train longer, or begin with a lower --loss-scale";
    }
    return ending;
  }

  // Steps until something ends it.
  Ending train() {
    checkpoints_.save_the_start();
    const auto per_epoch = run_.batches->batches();
    while (run_.step < run_.planned) {
      const auto epoch = run_.step / per_epoch;
      run_.loader.begin_epoch(run_.plan.seed, static_cast<std::uint64_t>(epoch),
                              run_.step % per_epoch);
      for (auto i = run_.step % per_epoch; i < per_epoch && run_.step < run_.planned; ++i) {
        if (interrupted() && run_.train_step->at_boundary()) return Ending::interrupted;
        const bool finite = one_step(i);
        run_.done = run_.step;
        if (!finite) return Ending::diverged;
        if (inspected_.seen_enough()) return Ending::finished;
        for (auto* observer : observers_) observer->after_micro_batch();
      }
    }
    flush();
    return Ending::finished;
  }

  // One micro-batch. False if the loss went non-finite and no loss scaling can be waited for.
  bool one_step(std::int64_t i) {
    ++run_.step;
    run_.pace.start();
    StepEvent event{.step = run_.step,
                    .epoch = (run_.step - 1) / run_.batches->batches() + 1,
                    .scale = run_.train_step->scaler().get_scale()};
    const auto samples = run_.batches->samples_of(i);
    for (auto* observer : observers_) observer->before_step(passes_, event);
    try {
      const auto report = step();
      for (auto* observer : observers_) observer->after_step(report, event);
      event.skipped = report.skipped();
      event.grad_norm = report.grad_norm();
    } catch (const amp::NumericalError&) {  // one skip too many; it is a step like those before it
      event.skipped = true;
      tell(event, samples);
      throw;
    }
    const double loss = tell(event, samples);
    return std::isfinite(loss) || run_.recipe.loss_scaling != amp::LossScaling::none;
  }

  amp::StepReport step() {
    for (auto* observer : observers_) {
      if (observer->takes_step()) return observer->step(passes_);
    }
    return passes_.step();
  }

  double tell(StepEvent& event, std::int64_t samples) {
    passes_.end_batch();
    const double loss = passes_.loss();
    event.seconds = run_.pace.stop(samples);
    event.loss = loss;
    run_.send(to_json(event));
    return loss;
  }

  // The last accumulation group may be partly full.
  void flush() {
    const auto report = run_.train_step->flush();
    if (!report.at_boundary()) return;
    StepEvent event{
        .is_flush = true, .step = run_.step, .scale = report.scale(), .skipped = report.skipped()};
    for (auto* observer : observers_) observer->after_step(report, event);
    run_.send(to_json(event));
  }

  Run run_;
  Passes passes_{run_};
  ScheduledRate rate_{run_};
  GradientRanges ranges_{run_};
  InspectedSteps inspected_{run_};
  MemoryCount memory_{run_};
  Explanation explanation_{run_};
  Averaging averaging_{run_};
  ScalerTelemetry telemetry_{run_};
  Evaluations evaluations_{run_};
  Checkpoints checkpoints_{run_};
  TrainingObserver* const observers_[9] = {&rate_,      &ranges_,      &inspected_,
                                           &memory_,    &explanation_, &averaging_,
                                           &telemetry_, &evaluations_, &checkpoints_};
};

}  // namespace

std::int64_t planned_steps(const Settings& settings, std::int64_t training_samples) {
  const auto per_epoch = (training_samples + settings.batch_size - 1) / settings.batch_size;
  return settings.steps > 0 ? settings.steps : per_epoch * settings.epochs;
}

Ending train(const RunPlan& plan, const Settings& settings, const amp::Task& task,
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
