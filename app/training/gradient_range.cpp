// Where the gradients of a micro-batch lie on the axis of exponents.
#include "app/training/gradient_range.h"

#include <ATen/Context.h>
#include <ATen/record_function.h>

#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>

#include "app/training/fp32_gradients.h"

namespace ampersand {
namespace {

using amp::ExponentHistogram;
using nlohmann::json;

constexpr int kSmallestHalf = -24;  // exponents below it are below fp16's smallest number
constexpr int kAboveHalf = 16;      // 2^16 is above its largest, 65504

void add(ExponentHistogram& sum, const ExponentHistogram& part) {
  for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += part.counts[i];
  sum.zero += part.zero;
  sum.inf += part.inf;
  sum.nan += part.nan;
}

// Counts what every backward function of any thread is handed, while it lives. One at a time.
class Watch {
 public:
  explicit Watch(ExponentHistogram& histogram) {
    target_ = &histogram;
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&count).needsInputs(true).scopes(
        {at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~Watch() {
    at::removeCallback(handle_);
    target_ = nullptr;
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  static std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
    for (const auto& input : function.inputs()) {
      if (!input.isTensor() || !input.toTensor().defined()) continue;
      const auto& gradient = input.toTensor();
      const bool has_memory = (gradient.is_cpu() || gradient.is_cuda()) && !gradient.is_nested() &&
                              gradient.layout() == c10::kStrided;
      if (!has_memory || !gradient.is_floating_point()) continue;
      const auto histogram = amp::exponent_histogram(gradient);
      const std::lock_guard lock(mutex_);
      add(*target_, histogram);
    }
    return nullptr;
  }

  static inline ExponentHistogram* target_ = nullptr;
  static inline std::mutex mutex_;
  at::CallbackHandle handle_{};
};

std::int64_t numbers_in(const ExponentHistogram& histogram, int from, int to) {
  std::int64_t sum = 0;
  for (int e = std::max(from, ExponentHistogram::kLowest);
       e < std::min(to, ExponentHistogram::kHighest + 1); ++e)
    sum += histogram.counts[static_cast<std::size_t>(e - ExponentHistogram::kLowest)];
  return sum;
}

json histogram_json(const ExponentHistogram& histogram) {
  const auto& counts = histogram.counts;
  const auto first = std::find_if(counts.begin(), counts.end(), [](auto n) { return n > 0; });
  const auto last = std::find_if(counts.rbegin(), counts.rend(), [](auto n) { return n > 0; });
  if (first == counts.end()) return {{"first_exponent", 0}, {"counts", json::array()}};
  return {{"first_exponent", ExponentHistogram::kLowest + (first - counts.begin())},
          {"counts", std::vector<std::int64_t>(first, last.base())}};
}

json shares(const ExponentHistogram& histogram, int scale_exponent) {
  constexpr int kEnd = ExponentHistogram::kHighest + 1;
  const auto finite = numbers_in(histogram, ExponentHistogram::kLowest, kEnd) + histogram.zero;
  const auto total = finite + histogram.inf + histogram.nan;
  const auto share = [&](std::int64_t n) {
    return total == 0 ? 0.0 : static_cast<double>(n) / static_cast<double>(total);
  };
  auto object = histogram_json(histogram);
  object["total"] = total;
  object["zero"] = share(histogram.zero);
  object["lost"] = share(numbers_in(histogram, ExponentHistogram::kLowest, kSmallestHalf));
  object["lost_scaled"] =
      share(numbers_in(histogram, ExponentHistogram::kLowest, kSmallestHalf - scale_exponent));
  object["overflow_scaled"] = share(numbers_in(histogram, kAboveHalf - scale_exponent, kEnd));
  return object;
}

}  // namespace

GradientRange gradient_range(Model& model, c10::Device device,
                             const std::function<at::Tensor()>& loss) {
  GradientRange range;
  std::vector<at::Tensor> gradients;
  {
    const Watch watch(range.activations);
    gradients = fp32_gradients(model, device, loss);
  }
  for (const auto& gradient : gradients) {
    if (gradient.defined()) add(range.weights, amp::exponent_histogram(gradient));
  }
  return range;
}

json gradient_range_json(const GradientRange& range, double scale) {
  const int exponent = static_cast<int>(std::floor(std::log2(scale)));
  return {{"scale", scale},
          {"activations", shares(range.activations, exponent)},
          {"weights", shares(range.weights, exponent)}};
}

}  // namespace ampersand
