// Whether a training gives the same losses again.
#include "app/inspection/determinism.h"

#include <ATen/core/Tensor.h>

#include <bit>
#include <exception>
#include <optional>
#include <vector>

namespace ampersand {
namespace {

constexpr std::size_t kComparedSteps = 3;

class LossBits : public StepObserver {
 public:
  void begin_training(Model&, amp::TrainStep&) override {}
  void begin_step(std::int64_t, double) override {}
  bool end_step(const amp::StepReport& report) override {
    bits_.push_back(std::bit_cast<std::uint64_t>(report.loss().item<double>()));
    return bits_.size() < kComparedSteps;
  }
  std::optional<amp::Thrown> fail_step(const std::exception_ptr&) override { return {}; }
  const std::vector<std::uint64_t>& bits() const { return bits_; }

 private:
  std::vector<std::uint64_t> bits_;
};

}  // namespace

std::optional<bool> is_deterministic(RunPlan plan, const Settings& settings,
                                     const amp::Task& task) {
  if (!plan.resume.has_value()) plan.precision = parse_precision("fp32");
  plan.checkpoints.clear();
  plan.evaluates = false;
  plan.showpieces = false;
  LossBits runs[2];
  try {
    for (auto& losses : runs) {
      plan.observer = &losses;
      train(plan, settings, task, [](const nlohmann::json&) {});
    }
  } catch (...) {
    return std::nullopt;
  }
  return runs[0].bits() == runs[1].bits();
}

}  // namespace ampersand
