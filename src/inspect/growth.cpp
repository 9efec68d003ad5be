// How much loss and weights have grown over a training.
#include "src/inspect/growth.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace amp::inspect {
namespace {

constexpr std::size_t kLast = 3;

double ratio(double now, double then) {
  constexpr double kTiny = 1e-30;
  return now / std::max(then, kTiny);
}

}  // namespace

Growth growth_until(const Evidence& evidence, std::size_t end) {
  std::vector<double> losses, weights;
  for (std::size_t i = 0; i < evidence.steps.size() && i <= end; ++i) {
    const auto& step = evidence.steps[i];
    if (i < end && step.loss.has_value() && std::isfinite(*step.loss))
      losses.push_back(std::abs(*step.loss));
    if (step.weight_amax.has_value()) weights.push_back(*step.weight_amax);
  }
  Growth growth;
  if (losses.size() >= 2) {
    const auto last = std::min(kLast, losses.size() - 1);
    growth.last_loss =
        *std::max_element(losses.end() - static_cast<std::ptrdiff_t>(last), losses.end());
    growth.loss = ratio(growth.last_loss, losses.front());
  }
  if (weights.size() >= 2 && weights.front() > 0) {
    growth.last_weight = weights.back();
    growth.weight = ratio(weights.back(), weights.front());
  }
  return growth;
}

}  // namespace amp::inspect
