// The same training in fp32.
#include "app/inspection/reference.h"

#include <cmath>
#include <utility>

#include "app/models/model_error.h"
#include "app/training/perturbation.h"

namespace ampersand {
namespace {

constexpr std::int64_t kEnough = 3;  // losses that are no numbers, in a row

class Losses : public StepObserver {
 public:
  Losses(std::int64_t steps, std::function<void(std::int64_t)> show)
      : steps_(steps), show_(std::move(show)) {}

  void begin_training(Model&, amp::TrainStep&) override {}
  void begin_step(std::int64_t, double) override {}
  bool end_step(const amp::StepReport& report) override {
    run_.losses.push_back(report.loss().item<double>());
    wrong_ = std::isfinite(run_.losses.back()) ? 0 : wrong_ + 1;
    run_.failed |= wrong_ > 0;
    const auto done = static_cast<std::int64_t>(run_.losses.size());
    show_(done);
    return done < steps_ && wrong_ < kEnough;
  }
  std::optional<amp::Thrown> fail_step(const std::exception_ptr& error) override {
    run_.failed = true;
    return amp::thrown_of(error);
  }
  amp::ReferenceRun& run() { return run_; }

 private:
  std::int64_t steps_, wrong_ = 0;
  std::function<void(std::int64_t)> show_;
  amp::ReferenceRun run_;
};

}  // namespace

amp::ReferenceRun reference_run(RunPlan plan, const Settings& settings, const amp::Task& task,
                                std::int64_t steps, const std::function<void(std::int64_t)>& show) {
  Losses losses(steps, show);
  plan.precision = parse_precision("fp32");
  plan.checkpoints.clear();
  plan.evaluates = false;
  plan.showpieces = false;
  plan.observer = &losses;
  try {
    train(plan, settings, task, [](const nlohmann::json&) {});
  } catch (const ModelError&) {
    losses.run().failed = true;
  }
  return std::move(losses.run());
}

std::vector<double> moved_losses(RunPlan plan, const Settings& settings, const amp::Task& task,
                                 std::int64_t steps,
                                 const std::function<void(std::int64_t)>& show) {
  plan.perturbation = kPerturbation;
  return reference_run(std::move(plan), settings, task, steps, show).losses;
}

}  // namespace ampersand
