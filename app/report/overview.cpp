// The head of the report: what was trained, on what, and what came out of it.
#include "app/report/overview.h"

#include <optional>
#include <vector>

#include "app/report/format.h"
#include "app/report/precision_results.h"

namespace ampersand::report {
namespace {

constexpr std::size_t kMostInTitle = 5;  // more precisions than these are counted, not named

// "a", "a and b", "a, b and c".
std::string joined(const std::vector<std::string>& words) {
  std::string sentence;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) sentence += i + 1 == words.size() ? " and " : ", ";
    sentence += words[i];
  }
  return sentence;
}

// "3 epochs", "1 epoch"; nothing where the count is not known.
std::optional<std::string> counted(const Json& object, const char* key, const std::string& noun) {
  const auto count = number(object, key);
  if (!count) return std::nullopt;
  return grouped(*count) + " " + noun + (*count == 1 ? "" : "s");
}

std::string subject(const Json& settings) {
  const std::string model = text(settings, "model").value_or("a model");
  const auto data = text(settings, "data");
  return data && !data->empty() ? model + " on " + *data : model;
}

// How long: the steps where they were asked for, else the epochs.
std::optional<std::string> length_phrase(const Json& settings) {
  if (number(settings, "steps").value_or(0) > 0) return counted(settings, "steps", "step");
  return counted(settings, "epochs", "epoch");
}

std::string short_number(double value) { return Json(value).dump(); }

std::optional<std::string> samples_phrase(const Json& settings) {
  const auto train = number(settings, "train_samples");
  const auto test = number(settings, "test_samples");
  if (!train) return std::nullopt;
  if (!test) return grouped(*train) + " training samples";
  return grouped(*train) + " training and " + grouped(*test) + " test samples";
}

std::optional<std::string> optimizer_phrase(const Json& settings) {
  auto phrase = text(settings, "optimizer");
  if (!phrase) return std::nullopt;
  *phrase = "optimizer " + *phrase;
  std::vector<std::string> details;
  if (const auto rate = number(settings, "learning_rate")) {
    details.push_back("learning rate " + short_number(*rate));
  }
  if (const auto momentum = number(settings, "momentum");
      momentum && text(settings, "optimizer") == "sgd") {
    details.push_back("momentum " + short_number(*momentum));
  }
  return details.empty() ? phrase : *phrase + " (" + joined(details) + ")";
}

std::optional<std::string> seeds_phrase(const Json& settings) {
  std::vector<std::string> seeds;
  for (const Json& seed : list(settings, "seeds")) {
    if (seed.is_number()) seeds.push_back(seed.dump());
  }
  if (seeds.empty()) return std::nullopt;
  return (seeds.size() == 1 ? "seed " : "seeds ") + joined(seeds);
}

std::optional<std::string> machine_phrase(const Json& results) {
  const Json& machine = section(results, "machine");
  const auto cpu = text(machine, "cpu");
  if (!cpu) return std::nullopt;
  const auto device = text(section(results, "settings"), "device");
  std::string phrase =
      device && *device != "cpu" ? "device " + *device + " beside a " + *cpu : *cpu;
  if (const auto cores = counted(machine, "cores", "core")) phrase += ", " + *cores;
  if (const auto threads = counted(machine, "threads", "thread")) phrase += ", " + *threads;
  return phrase;
}

}  // namespace

std::string title(const Json& results) {
  std::vector<std::string> precisions;
  for (const PrecisionResults& column : group_by_precision(results)) {
    precisions.push_back(column.precision);
  }
  const std::string trained = subject(section(results, "settings"));
  if (precisions.size() > kMostInTitle) {
    return trained + " in " + std::to_string(precisions.size()) + " precisions";
  }
  return trained + ": " + joined(precisions);
}

std::string description(const Json& results) {
  const Json& settings = section(results, "settings");
  std::string sentence = "Trained " + subject(settings);
  if (const auto samples = samples_phrase(settings)) sentence += " (" + *samples + ")";
  std::optional<std::string> batch;
  if (const auto size = number(settings, "batch_size")) batch = "batches of " + grouped(*size);
  for (const auto& part :
       {length_phrase(settings), batch, optimizer_phrase(settings), seeds_phrase(settings)}) {
    if (part) sentence += ", " + *part;
  }
  if (const auto machine = machine_phrase(results)) sentence += "; on " + *machine;
  return sentence + ".";
}

std::string verdict(const Json& results) {
  std::string html;
  if (flag(results, "interrupted")) {
    html +=
        "<p class=\"notice\">Interrupted before the end: these numbers cover what had been trained "
        "by then.</p>\n";
  }
  std::string lines;
  if (const auto line = text(results, "takeaway")) lines += "<li>" + escape_html(*line) + "</li>\n";
  for (const Json& line : list(results, "verdict")) {
    if (line.is_string()) lines += "<li>" + escape_html(line.get<std::string>()) + "</li>\n";
  }
  if (lines.empty()) return html;
  return html + "<section class=\"verdict\"><h2>Verdict</h2>\n<ul>\n" + lines + "</ul></section>\n";
}

std::string inside(const Json& results) {
  std::string rows;
  for (const Json& run : list(results, "runs")) {
    const Json& inspection = section(run, "inspection");
    const auto page = text(inspection, "page");
    if (!page) continue;
    rows += "<dt><a href=\"" + escape_html(*page) + "\">" +
            escape_html(text(run, "precision").value_or("")) + "</a></dt><dd>";
    std::string sentences;
    for (const Json& line : list(inspection, "sentences")) {
      if (line.is_string())
        sentences += (sentences.empty() ? "" : "; ") + escape_html(line.get<std::string>());
    }
    rows += sentences + ".</dd>\n";
  }
  if (rows.empty()) return "";
  return "\n<section>\n<h2>Op by op beside fp32</h2>\n<dl>\n" + rows + "</dl>\n</section>\n";
}

}  // namespace ampersand::report
