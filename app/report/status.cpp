// How a training run ended, in words.
#include "app/report/status.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "app/report/format.h"

namespace ampersand::report {
namespace {

std::string diverged_phrase(std::optional<double> step) {
  return step ? "diverged at step " + grouped(*step) : "diverged";
}

std::string failed_phrase(std::optional<double> step) {
  return step ? "failed at step " + grouped(*step) : "failed";
}

// The first step at which any of the runs diverged or failed.
std::optional<double> first_step(const std::vector<const Json*>& runs, const char* key) {
  std::optional<double> first;
  for (const Json* run : runs) {
    const auto step = number(*run, key);
    if (step && (!first || *step < *first)) first = step;
  }
  return first;
}

std::string mark(std::string_view style, const std::string& phrase) {
  return "<span class=\"mark " + std::string(style) + "\">" + escape_html(phrase) + "</span> ";
}

std::string note(const std::string& phrase) {
  return phrase.empty() ? "" : "<span class=\"note\">" + escape_html(phrase) + "</span> ";
}

void add_once(std::vector<std::string>& phrases, const std::string& phrase) {
  if (std::find(phrases.begin(), phrases.end(), phrase) == phrases.end()) phrases.push_back(phrase);
}

std::string share(std::size_t part, std::size_t whole) {
  if (whole == 1) return {};
  return note(std::to_string(part) + " of " + std::to_string(whole) + " seeds");
}

}  // namespace

std::string status_phrase(const Json& results, const Json& run) {
  const auto reason = text(run, "stopped");
  if (flag(run, "diverged")) {
    return diverged_phrase(number(run, "diverged_at_step")) + (reason ? ": " + *reason : "");
  }
  if (flag(run, "failed"))
    return failed_phrase(number(run, "failed_at_step")) + (reason ? ": " + *reason : "");
  if (reason) return "stopped: " + *reason;
  return was_interrupted(results, run) ? "interrupted" : "ok";
}

std::string status_marks(const Json& results, const PrecisionResults& column) {
  std::vector<const Json*> diverged, failed;
  std::vector<std::string> reasons;  // why these were stopped, where that was said
  std::vector<std::string> others;   // endings that are neither ok nor a divergence
  for (const Json* run : column.runs) {
    if (flag(*run, "diverged") || flag(*run, "failed")) {
      (flag(*run, "diverged") ? diverged : failed).push_back(run);
      add_once(reasons, text(*run, "stopped").value_or(""));
    } else if (const std::string phrase = status_phrase(results, *run); phrase != "ok") {
      add_once(others, phrase);
    }
  }
  std::string html;
  if (!diverged.empty())
    html += mark("bad", diverged_phrase(first_step(diverged, "diverged_at_step"))) +
            share(diverged.size(), column.runs.size());
  if (!failed.empty())
    html += mark("bad", failed_phrase(first_step(failed, "failed_at_step"))) +
            share(failed.size(), column.runs.size());
  for (const std::string& reason : reasons) html += note(reason);
  for (const std::string& phrase : others) html += mark("warn", phrase);
  return html.empty() ? mark("good", "ok") : html;
}

}  // namespace ampersand::report
