// How far gradients are from fp32's, end to end.
#include "src/doctor/gradient_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace amp::doctor {
namespace {

double squares(const at::Tensor& tensor) { return tensor.square().sum().item<double>(); }

std::map<std::string, at::Tensor> by_name(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

}  // namespace

GradientError gradient_error(const NamedTensors& own, const NamedTensors& fp32) {
  const auto mine = by_name(own);
  double error = 0, size = 0;
  std::vector<std::pair<std::string, std::pair<double, double>>> each;
  for (const auto& [name, wanted] : fp32) {
    const auto found = mine.find(name);
    const double all = squares(wanted);
    const double apart = found == mine.end() ? all : squares(found->second.sub(wanted));
    error += apart;
    size += all;
    each.emplace_back(name, std::pair(apart, all));
  }
  GradientError result;
  if (size == 0) {
    result.relative = error == 0 ? 0 : std::numeric_limits<double>::infinity();
    return result;
  }
  result.relative = std::sqrt(error / size);
  for (const auto& [name, sums] : each) {
    if (sums.second < 1e-6 * size) continue;  // may be rounding alone
    const double relative = std::sqrt(sums.first / sums.second);
    if (relative >= result.worst) {
      result.worst = relative;
      result.worst_parameter = name;
    }
  }
  return result;
}

std::string stale_buffer(const Moved& own, const Moved& fp32,
                         const std::vector<std::string>& candidates) {
  const auto movement = [](const Moved& moved) {
    std::map<std::string, double> found;
    for (std::size_t i = 0; i < std::min(moved.before.size(), moved.after.size()); ++i) {
      const auto &before = moved.before[i].second, &after = moved.after[i].second;
      if (before.sizes() == after.sizes())
        found[moved.after[i].first] =
            std::sqrt(squares(after.sub(before)) / std::max(squares(after), 1e-30));
    }
    return found;
  };
  auto here = movement(own);
  for (const auto& [name, wanted] : movement(fp32)) {
    const bool is_low = std::ranges::find(candidates, name) != candidates.end();
    if (is_low && std::isfinite(wanted) && wanted > 1e-3 && here[name] < 0.2 * wanted) return name;
  }
  return {};
}

Stuck stuck_weights(const NamedTensors& own, const NamedTensors& fp32,
                    const NamedTensors& gradients) {
  const auto mine = by_name(own), slopes = by_name(gradients);
  const auto fall = [](const at::Tensor& slope, const at::Tensor& move) {
    return -slope.mul(move).sum().item<double>();
  };
  double all = 0, gained = 0, most = 0;
  for (const auto& [name, wanted] : fp32) {
    const auto slope = slopes.find(name), move = mine.find(name);
    if (slope == slopes.end() || move == mine.end()) continue;
    all += fall(slope->second, wanted);
    gained += fall(slope->second, move->second);
    most = std::max(most, fall(slope->second, wanted));
  }
  Stuck result;
  if (!(all > 0)) return result;
  result.lost = 1 - gained / all;
  double least = 0.1;
  for (const auto& [name, wanted] : fp32) {
    const auto slope = slopes.find(name), move = mine.find(name);
    if (slope == slopes.end() || move == mine.end()) continue;
    if (fall(slope->second, wanted) < 0.1 * most) continue;
    const double ratio = std::sqrt(squares(move->second) / std::max(squares(wanted), 1e-300));
    if (ratio >= least) continue;
    least = ratio;
    result.parameter = name;
  }
  return result;
}

Vanished vanished_parameters(const NamedTensors& gradients) {
  std::vector<std::pair<double, std::string>> sizes;
  for (const auto& [name, gradient] : gradients) {
    if (gradient.dim() < 2) continue;
    sizes.emplace_back(std::sqrt(squares(gradient) / static_cast<double>(gradient.numel())), name);
  }
  Vanished result;
  if (sizes.size() < 2) return result;
  const auto [smallest, largest] = std::minmax_element(sizes.begin(), sizes.end());
  if (largest->first == 0) {
    result.share = 1;
    result.ratio = 0;
    result.smallest = result.largest = smallest->second;
    return result;
  }
  result.ratio = smallest->first / largest->first;
  result.smallest = smallest->second;
  result.largest = largest->second;
  const auto small = std::ranges::count_if(
      sizes, [&](const auto& size) { return size.first < 1e-4 * largest->first; });
  result.share = static_cast<double>(small) / static_cast<double>(sizes.size());
  return result;
}

}  // namespace amp::doctor
