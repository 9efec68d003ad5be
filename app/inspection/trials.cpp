// Short trainings in several precisions beside fp32.
#include "app/inspection/trials.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "amp/error.h"
#include "app/results/mean_deviation.h"
#include "app/results/paired.h"

namespace ampersand {
namespace {

using nlohmann::json;

const std::set<std::string> kReductions = {"sum",
                                           "mean",
                                           "cumsum",
                                           "cumprod",
                                           "prod",
                                           "norm",
                                           "var",
                                           "std",
                                           "logsumexp",
                                           "softmax",
                                           "log_softmax",
                                           "layer_norm",
                                           "group_norm",
                                           "batch_norm",
                                           "instance_norm",
                                           "rms_norm",
                                           "dist",
                                           "cosine_similarity",
                                           "linalg_vector_norm",
                                           "nansum",
                                           "trace",
                                           "logcumsumexp"};

// Those that could be set.
std::vector<std::string> keep_in_fp32(amp::OpPolicy& policy, const std::vector<std::string>& ops) {
  std::vector<std::string> kept;
  for (const auto& op : ops) {
    try {
      policy.set(op, amp::CastRule::fp32);
      kept.push_back(op);
    } catch (const amp::InvalidArgument&) {  // no op that autocast can see
    }
  }
  return kept;
}

constexpr double kMargin = 0.005;  // of the first loss: less is no loss of quality

// Means of the last quarter of the steps that both have, and the variance of the difference of two such means, from
// how the differences step by step scatter.
struct LateDifference {
  double ours = 0, theirs = 0, difference = 0, variance = 0;
};

LateDifference late_difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
  const auto size = std::min(ours.size(), theirs.size());
  std::vector<double> own, other, apart;
  for (auto i = size - std::min(size, std::max<std::size_t>(1, size / 4)); i < size; ++i) {
    own.push_back(ours[i]);
    other.push_back(theirs[i]);
    apart.push_back(ours[i] - theirs[i]);
  }
  LateDifference result{.ours = mean_deviation(own).mean, .theirs = mean_deviation(other).mean};
  result.difference = result.ours - result.theirs;
  result.variance = std::pow(mean_deviation(apart).standard_error, 2);
  return result;
}

void add_once(std::vector<std::string>& list, const std::string& name) {
  if (std::ranges::find(list, name) == list.end()) list.push_back(name);
}

}  // namespace

std::vector<std::string> reductions_of(const std::vector<amp::OpSummary>& ops,
                                       const amp::OpPolicy& policy) {
  std::vector<std::string> found;
  for (const auto& op : ops) {
    if (op.pass != amp::Pass::forward || rule_of(policy, op) == amp::CastRule::fp32) continue;
    const auto name = kReductions.contains(op.called_as) ? op.called_as : op.op;
    if (kReductions.contains(name)) add_once(found, name);
  }
  return found;
}

std::vector<Candidate> candidates(const Ranges& ranges, const amp::OpPolicy& policy) {
  std::vector<Candidate> list = {{parse_precision("bf16")}};
  if (!ranges.fits_fp16()) return list;
  Candidate half = {parse_precision("fp16")};
  half.precision.recipe.scaler.init_scale = *ranges.initial_scale;
  std::vector<std::string> wide;
  for (const auto& op : ranges.too_wide) add_once(wide, op.op);
  auto edited = policy;
  half.keep_fp32 = keep_in_fp32(edited, wide);
  half.precision.recipe.policy = edited;
  list.push_back(std::move(half));
  return list;
}

Candidate emulated_fp8() { return {parse_precision("fp8-emulated")}; }

Candidate careful_bf16(const std::vector<std::string>& reductions, const amp::OpPolicy& policy) {
  Candidate candidate = {parse_precision("bf16")};
  candidate.precision.name = "bf16, sums in fp32";
  auto edited = policy;
  candidate.keep_fp32 = keep_in_fp32(edited, reductions);
  candidate.precision.recipe.policy = edited;
  return candidate;
}

Comparison compared(const Trial& trial, const Trial& fp32, const std::vector<double>& again) {
  const auto apart = late_difference(trial.losses, fp32.losses);
  Comparison result;
  result.loss = apart.ours;
  result.fp32_loss = apart.theirs;
  result.difference = apart.difference;
  if (trial.losses.empty() || fp32.losses.empty()) return result;
  PairedEvidence evidence{.differences = {-apart.difference},  // a lower loss is better
                          .sampling_variance = apart.variance};
  if (!again.empty()) evidence.perturbed = -late_difference(again, fp32.losses).difference;
  const double margin = kMargin * std::abs(fp32.losses.front());
  const auto judged = judge(evidence, {.margin = margin, .one_sided = true});
  result.tolerance = judged.noise.value_or(margin);
  result.accepted = trial.ending == Ending::finished && std::isfinite(result.loss) &&
                    result.difference <= result.tolerance;
  return result;
}

std::vector<std::string> kept_in_fp32(const amp::OpPolicy& policy) {
  std::vector<std::string> kept;
  const auto edits = json::parse(policy.to_json());
  for (const auto& [op, rule] : edits.at("rules").items()) {
    if (rule == "fp32") kept.push_back(op);
  }
  for (const auto& one : edits.value("modules", json::array())) {
    if (one.at("rule") == "fp32") kept.push_back("module " + one.at("module").get<std::string>());
  }
  return kept;
}

json initial_scale_of(const Candidate& candidate) {
  const auto& recipe = candidate.precision.recipe;
  return recipe.loss_scaling == amp::LossScaling::dynamic ? json(recipe.scaler.init_scale) : json();
}

json trial_json(const Trial& trial, const Comparison& comparison) {
  const auto number = [](double value) { return std::isfinite(value) ? json(value) : json(); };
  return {{"precision", trial.candidate.precision.name},
          {"keep_fp32", trial.candidate.keep_fp32},
          {"initial_scale", initial_scale_of(trial.candidate)},
          {"steps", trial.losses.size()},
          {"finished", trial.ending == Ending::finished},
          {"failed", trial.ending == Ending::failed},
          {"reason", trial.reason},
          {"loss", number(comparison.loss)},
          {"fp32_loss", number(comparison.fp32_loss)},
          {"difference", number(comparison.difference)},
          {"tolerance", number(comparison.tolerance)},
          {"accepted", comparison.accepted}};
}

}  // namespace ampersand
