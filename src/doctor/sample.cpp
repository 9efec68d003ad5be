// Which sample of a micro-batch brings a fault about.
#include <numeric>
#include <utility>

#include "src/doctor/case_file.h"

namespace amp::doctor {
namespace {

using Samples = std::vector<std::int64_t>;

class Search {
 public:
  Search(CaseFile& file, std::int64_t step) : file_(file), step_(step) {
    // With fewer samples the gradients are larger, and a loss scale that is not the cause could
    // overflow. So scale 1 is used.
    if (file.is_scaled()) loss_scale_ = 1;
  }

  void run() {
    const auto count = file_.experiment.samples(step_);
    if (count < 2) return;
    const auto sample = alone(count);
    if (!sample.has_value()) return;
    Samples others;
    for (std::int64_t i = 0; i < count; ++i) {
      if (i != *sample) others.push_back(i);
    }
    const auto name = std::to_string(*sample);
    const auto without = file_.try_out("without sample " + name, step_,
                                       {.loss_scale = loss_scale_, .samples = others});
    if (!without.is_finite()) return;
    file_.result.diagnosis.sample = sample;
    if (file_.experiment.outlier(step_) == sample) blame_sample(file_, step_, *sample);
    file_.result.notes.push_back("sample " + name + " of the micro-batch alone brings it about");
  }

 private:
  // Halves the batch while exactly one half goes wrong.
  std::optional<std::int64_t> alone(std::int64_t count) {
    Samples suspects(static_cast<std::size_t>(count));
    std::iota(suspects.begin(), suspects.end(), 0);
    while (suspects.size() > 1 && file_.may_replay()) {
      const auto middle = suspects.begin() + static_cast<std::ptrdiff_t>(suspects.size() / 2);
      const Samples halves[] = {{suspects.begin(), middle}, {middle, suspects.end()}};
      const bool first = goes_wrong(halves[0]), second = goes_wrong(halves[1]);
      if (first == second) return std::nullopt;  // it is in several, or in none alone
      suspects = halves[first ? 0 : 1];
    }
    return suspects.size() == 1 ? std::optional(suspects[0]) : std::nullopt;
  }

  bool goes_wrong(const Samples& samples) {
    const auto outcome = file_.play(step_, {.loss_scale = loss_scale_, .samples = samples});
    return outcome.played && !outcome.is_finite();
  }

  CaseFile& file_;
  const std::int64_t step_;
  std::optional<double> loss_scale_;
};

}  // namespace

void blame_sample(CaseFile& file, std::int64_t step, std::int64_t sample, const std::string& more) {
  auto& diagnosis = file.result.diagnosis;
  diagnosis.verdict = Verdict::bad_data;
  diagnosis.step = step;
  diagnosis.sample = sample;
  diagnosis.sentence = "step " + std::to_string(step) + ": sample " + std::to_string(sample) +
                       " of the micro-batch holds numbers a hundred times as large as any other's" +
                       more;
  file.result.remedies = {{.advice = "drop or mend the sample, or bound what comes in"}};
}

void find_sample(CaseFile& file, std::int64_t step) { Search(file, step).run(); }

}  // namespace amp::doctor
