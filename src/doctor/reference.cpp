// Whether a training's loss is worse than that of the same training in fp32.
#include <algorithm>

#include "src/doctor/silent_training.h"

namespace amp::doctor {
namespace {

using inspect::shown;

class Beside : public SilentTraining {
 public:
  using SilentTraining::SilentTraining;

  // Compares with the fp32 run, and with how far fp32 is from itself when its weights are moved by
  // an ulp.
  bool is_worse() {
    auto reference = file_.reference.value_or(ReferenceRun());
    if (!file_.reference.has_value()) reference = played_reference({});
    if (reference.failed || reference.losses.size() < 20) return false;
    if (!is_above(reference)) return false;
    if (reference.again.empty()) {
      const auto played = file_.reference.has_value() ? played_reference({}) : reference;
      const auto again = played_reference(1);
      if (played.failed || again.failed) return false;
      const double apart = late_mean(again.losses) - late_mean(played.losses);
      for (const double loss : reference.losses) reference.again.push_back(loss + apart);
    }
    const auto size = std::min(taken_.size(), reference.losses.size());
    const bool worse = is_above(reference);
    file_.result.trials.push_back(
        {"the same training in fp32",
         "loss " + shown(late_mean(cut(reference.losses, size))) + ", here " +
             shown(late_mean(cut(taken_, size))) + ", apart by chance " +
             shown(tolerance_of(cut(taken_, size), cut(reference.losses, size), reference.again)),
         worse});
    return worse;
  }

 private:
  ReferenceRun played_reference(std::optional<std::uint64_t> perturb) {
    const auto before = file_.result.replays;
    const auto outcome =
        file_.play(first(), {.wide = c10::kFloat, .steps = count_from_first(), .perturb = perturb});
    file_.result.replays = before + 1;
    return {.losses = outcome.losses, .failed = !outcome.is_finite()};
  }
  bool is_above(const ReferenceRun& reference) const {
    const auto size = std::min(taken_.size(), reference.losses.size());
    const auto own = cut(taken_, size), fp32 = cut(reference.losses, size);
    return late_mean(own) - late_mean(fp32) > tolerance_of(own, fp32, reference.again);
  }
  static std::vector<double> cut(const std::vector<double>& losses, std::size_t size) {
    return {losses.begin(),
            losses.begin() + static_cast<std::ptrdiff_t>(std::min(size, losses.size()))};
  }
};

}  // namespace

bool is_worse_than_fp32(CaseFile& file) { return Beside(file).is_worse(); }

}  // namespace amp::doctor
