// What `advise` found, in words, files and a page.
#include "app/commands/advice.h"

#include <cmath>
#include <cstdio>

#include "amp/version.h"
#include "app/commands/session.h"
#include "app/commands/training_plan.h"
#include "app/files/write_file.h"
#include "app/report/fields.h"
#include "app/report/format.h"
#include "app/report/inspection_page.h"
#include "app/terminal/formatted.h"
#include "app/terminal/wrapped.h"

namespace ampersand {
namespace {

using nlohmann::json;

// Dense peak rates in TFLOP/s, as NVIDIA's data sheets have them: none was measured here.
struct Gpu {
  const char* name;
  double fp32, tf32, half, fp8;  // half: bf16 and fp16; fp8: 0 where there is none
};
constexpr Gpu kGpus[] = {{"A100 SXM", 19.5, 156, 312, 0}, {"H100 SXM", 67, 495, 989, 1979}};

json gpus_json() {
  json list = json::array();
  for (const auto& gpu : kGpus)
    list.push_back({{"gpu", gpu.name},
                    {"fp32", gpu.fp32},
                    {"tf32", gpu.tf32},
                    {"bf16_fp16", gpu.half},
                    {"fp8", gpu.fp8 > 0 ? json(gpu.fp8) : json()},
                    {"unit", "TFLOP/s, dense, published peak; not measured"}});
  return list;
}

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

const json& run_of(const Advice& advice, std::size_t trial) {
  return advice.results.at("runs").at(trial);
}

// How many times fp32's; nothing where either is unknown.
std::optional<double> ratio_to_fp32(const Advice& advice, std::size_t trial, const char* key) {
  const auto own = report::number(run_of(advice, trial), key);
  const auto fp32 = report::number(run_of(advice, 0), key);
  if (!own.has_value() || !fp32.has_value() || *fp32 <= 0) return std::nullopt;
  return *own / *fp32;
}

std::string gains(const Advice& advice, std::size_t trial) {
  std::string text;
  if (const auto speed = ratio_to_fp32(advice, trial, "samples_per_second"))
    text += "; " + report::grouped(*speed, 2) + " times fp32's speed on this machine";
  if (const auto bytes = ratio_to_fp32(advice, trial, "activation_bytes"))
    text += ", " + report::grouped(*bytes, 2) + " times its activation memory";
  return text;
}

// "131,072", "0.05", "3.28e+07"
std::string shown_size(double value) {
  const bool whole = value >= 1 && value < 1e7 && value == std::floor(value);
  return whole ? report::grouped(value, 0) : shown(value);
}

std::string scaling_of(const Trial& trial) {
  const auto& recipe = trial.candidate.precision.recipe;
  if (recipe.loss_scaling != amp::LossScaling::dynamic) return "";
  return " with dynamic loss scaling from " + shown_size(recipe.scaler.init_scale);
}

std::string kept_of(const Trial& trial) {
  const auto& kept = trial.candidate.keep_fp32;
  return kept.empty() ? "" : "; keep " + comma_separated(kept) + " in fp32";
}

std::string losses_of(const Comparison& comparison) {
  return "its loss is " + shown(comparison.loss) + " where fp32's is " +
         shown(comparison.fp32_loss);
}

// Why a trial that did not come to its end did not.
std::string end_of(const Trial& trial) {
  const auto steps = std::to_string(trial.losses.size()) + " steps";
  return trial.ending == Ending::failed ? "it failed after " + steps + ": " + trial.reason
                                        : "it went non-finite after " + steps;
}

// What fp8 would lose, by what it lost.
std::string fp8_finding(const Trial& trial, const Comparison& comparison) {
  const auto steps = std::to_string(trial.losses.size());
  if (trial.ending != Ending::finished) return "fp8 would break it: emulated, " + end_of(trial);
  return (comparison.accepted ? "fp8 would do, emulated for " : "fp8 would harm: emulated for ") +
         steps + " steps, " + losses_of(comparison);
}

std::string sentence_of(const Advice& advice) {
  const auto chosen = advice.recommended;
  const auto& trial = advice.trials[chosen];
  if (chosen == 0)
    return "stay with fp32: no other precision learned as well in " +
           std::to_string(trial.losses.size()) + " steps";
  const auto& comparison = advice.comparisons[chosen];
  auto text = "train in " + trial.candidate.precision.name + scaling_of(trial) + ": after " +
              std::to_string(trial.losses.size()) + " steps " + losses_of(comparison) +
              gains(advice, chosen);
  return text + kept_of(trial);
}

std::vector<std::string> findings(const Advice& advice) {
  std::vector<std::string> list;
  const auto& ranges = advice.ranges;
  if (advice.runner_up.has_value()) {
    const auto& second = advice.trials[*advice.runner_up];
    list.push_back("runner-up: " + second.candidate.precision.name + scaling_of(second) +
                   gains(advice, *advice.runner_up) + kept_of(second));
  }
  for (std::size_t i = 1; i < advice.trials.size(); ++i) {
    const auto& trial = advice.trials[i];
    const auto& comparison = advice.comparisons[i];
    if (trial.candidate.is_emulated()) {
      list.push_back(fp8_finding(trial, comparison));
      continue;
    }
    if (comparison.accepted) continue;
    list.push_back("not " + trial.candidate.precision.name + ": " +
                   (trial.ending == Ending::finished ? losses_of(comparison) : end_of(trial)));
  }
  for (const auto& op : ranges.too_wide) {
    if (list.size() > 8) break;
    list.push_back((op.module.empty() ? "" : op.module + " ") + op.op + " reaches " +
                   shown_size(op.amax) + ", too near to the end of fp16 at 65504");
  }
  if (!ranges.initial_scale.has_value())
    list.push_back("not fp16: gradients reach " + shown(ranges.gradient_amax) +
                   ", which it cannot hold at any loss scale");
  list.push_back("fp16 would turn " + report::percent(ranges.flushed_unscaled) +
                 " of the gradients into zero without loss scaling" +
                 (ranges.initial_scale.has_value()
                      ? " and " + report::percent(ranges.flushed_scaled) + " at a scale of " +
                            shown_size(*ranges.initial_scale)
                      : ""));
  list.push_back("fp8 with a scale for each tensor turns " +
                 report::percent(ranges.weights.flushed) + " of the weights, " +
                 report::percent(ranges.activations.flushed) + " of the activations (e4m3) and " +
                 report::percent(ranges.gradients.flushed) + " of the gradients (e5m2" +
                 (ranges.gradients.where.empty() ? "" : "; most at " + ranges.gradients.where) +
                 ") into zero, and leave 3 or 2 bits of mantissa");
  if (advice.deterministic == false)
    list.push_back(
        "two runs in fp32 give different losses: the training is not deterministic, and "
        "the differences include that");
  return list;
}

std::string or_dash(double value, const std::string& text = "") {
  if (!std::isfinite(value)) return std::string(report::kDash);
  return text.empty() ? shown(value) : text;
}

std::string trials_table(const Advice& advice) {
  std::vector<std::vector<std::string>> rows;
  const auto number = [](std::optional<double> value, int decimals) {
    return value.has_value() ? report::grouped(*value, decimals) : std::string(report::kDash);
  };
  for (std::size_t i = 0; i < advice.trials.size(); ++i) {
    const auto& run = run_of(advice, i);
    const auto bytes = report::number(run, "activation_bytes");
    const auto& comparison = advice.comparisons[i];
    const bool emulated =
        advice.trials[i].candidate.is_emulated();  // its speed and memory are not fp8's
    rows.push_back(
        {advice.trials[i].candidate.precision.name,
         i == 0                                      ? "yardstick"
         : comparison.accepted                       ? "as fp32"
         : advice.trials[i].ending == Ending::failed ? "failed"
                                                     : "worse than fp32",
         or_dash(comparison.loss),
         i == 0 ? "" : or_dash(comparison.difference, report::with_sign(comparison.difference, 4)),
         i == 0 ? "" : or_dash(comparison.tolerance),
         emulated ? std::string(report::kDash)
                  : number(report::number(run, "samples_per_second"), 0),
         bytes.has_value() && !emulated ? report::megabytes(*bytes) : std::string(report::kDash),
         number(report::number(run, "skipped_steps"), 0)});
  }
  return table_html({"Precision", "Learns", "Loss", "Against fp32", "Allowed", "Samples/s",
                     "Activations, MB", "Skipped steps"},
                    rows);
}

std::string gpu_table() {
  std::vector<std::vector<std::string>> rows;
  for (const auto& gpu : kGpus)
    rows.push_back({gpu.name, shown(gpu.fp32), shown(gpu.tf32), shown(gpu.half),
                    gpu.fp8 > 0 ? shown(gpu.fp8) : std::string(report::kDash)});
  return table_html({"TFLOP/s", "fp32", "tf32", "bf16, fp16", "fp8"}, rows) +
         "<p class=\"note\">Published peak rates of dense products, not measured: a training gains "
         "less, "
         "for it does more than products.</p>\n";
}

json advice_json(const Settings& settings, const Advice& advice,
                 const std::vector<std::string>& sentences) {
  const auto& chosen = advice.trials[advice.recommended].candidate;
  json trials = json::array();
  for (std::size_t i = 0; i < advice.trials.size(); ++i) {
    auto trial = trial_json(advice.trials[i], advice.comparisons[i]);
    for (const char* key : {"samples_per_second", "activation_bytes", "peak_memory_bytes"})
      trial[key] =
          advice.trials[i].candidate.is_emulated() ? json() : run_of(advice, i).value(key, json());
    trials.push_back(trial);
  }
  return {
      {"precision", chosen.precision.name},
      {"initial_scale", initial_scale_of(chosen)},
      {"keep_fp32", chosen.keep_fp32},
      {"runner_up", advice.runner_up.has_value()
                        ? json(advice.trials[*advice.runner_up].candidate.precision.name)
                        : json()},
      {"sentence", sentences.front()},
      {"evidence",
       {{"findings", std::vector<std::string>(sentences.begin() + 1, sentences.end())},
        {"ranges", ranges_json(advice.ranges)},
        {"trials", trials},
        {"gpu", gpus_json()},
        {"deterministic", advice.deterministic.has_value() ? json(*advice.deterministic) : json()},
        {"inspection", advice.inspection}}},
      {"version", amp::version()},
      {"command", the_command_line()},
      {"settings", settings_json(settings)}};
}

}  // namespace

void write_advice(const std::filesystem::path& folder, const Settings& settings,
                  const Advice& advice) {
  std::vector<std::string> sentences = {sentence_of(advice)};
  for (auto& finding : findings(advice)) sentences.push_back(std::move(finding));
  const auto& recipe = advice.trials[advice.recommended].candidate.precision.recipe;
  const auto policy =
      recipe.policy.value_or(amp::OpPolicy::fast(c10::Device(settings.device).type()));
  write_file(
      folder / "advise.json",
      advice_json(settings, advice, sentences).dump(1, ' ', false, json::error_handler_t::replace) +
          "\n");
  write_file(folder / "policy.json", policy.to_json());
  write_recipe(folder / "recipe.json", recipe);

  InspectionPage page;
  const auto& chosen = advice.trials[advice.recommended].candidate.precision.name;
  page.title = "Advice: " + chosen;
  page.description =
      settings.model + " on " + settings.data + ", " + settings.optimizer + ", batch size " +
      std::to_string(settings.batch_size) + ". Each precision was tried for " +
      std::to_string(settings.steps) +
      " steps with the same weights and batches to begin with; the drawings are of fp32.";
  page.tone = InspectionPage::Tone::fine;
  page.verdict = sentences;
  page.sections = {{"What was tried", trials_table(advice)}};
  page.tail = {{"Ops that would lose most", ops_table(advice.inspection)},
               {"On a GPU", gpu_table()}};
  page.results = advice.results;
  page.inspection = advice.inspection;
  write_file(folder / "advise.html", render_inspection(page));

  for (std::size_t i = 0; i < sentences.size(); ++i)
    std::printf("%s\n%s", wrapped(sentences[i], output_width()).c_str(), i == 0 ? "\n" : "");
  std::printf("\nuse it   ampersand train --recipe %s\nresults  %s\npage     %s\n",
              (folder / "recipe.json").c_str(), (folder / "advise.json").c_str(),
              (folder / "advise.html").c_str());
}

}  // namespace ampersand
