// "How the numbers were got": command line, machine, settings, memory by part and every run.
#include "app/report/details.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "app/report/format.h"
#include "app/report/precision_results.h"
#include "app/report/status.h"

namespace ampersand::report {
namespace {

struct Label {
  const char* key;
  std::string_view name;
};

// The order and the names of the known fields; others follow under their own names.
constexpr std::array kMachineLabels = {
    Label{"cpu", "Processor"},
    Label{"cores", "Cores"},
    Label{"threads", "Threads used"},
    Label{"features", "Instruction sets"},
    Label{"memory_bytes", "Memory"},
    Label{"libtorch", "LibTorch"},
    Label{"cpu_half_math", "Half-precision math"},
    Label{"cpu_fp32_engine", "fp32 engine"},
    Label{"cpu_fp32_engine_chosen", "fp32 engine chosen"},
};
constexpr std::array kSettingsLabels = {
    Label{"model", "Model"},
    Label{"data", "Data"},
    Label{"train_samples", "Training samples"},
    Label{"test_samples", "Test samples"},
    Label{"epochs", "Epochs"},
    Label{"batch_size", "Batch size"},
    Label{"optimizer", "Optimizer"},
    Label{"learning_rate", "Learning rate"},
    Label{"momentum", "Momentum"},
    Label{"accumulation", "Micro-batches per step"},
    Label{"max_grad_norm", "Largest gradient norm"},
    Label{"seeds", "Seeds"},
    Label{"device", "Device"},
};
constexpr std::array kMemoryLabels = {
    Label{"weights", "Weights"},
    Label{"copies", "Low-precision copies"},
    Label{"masters", "Master weights"},
    Label{"gradients", "Gradients"},
    Label{"optimizer", "Optimizer state"},
    Label{"activations", "Activations"},
    Label{"other", "Other"},
};

std::string join(const Json& values);

// Any value as plain text.
std::string plain(const Json& value) {
  if (value.is_null()) return std::string(kDash);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return grouped(value.get<double>());
  if (value.is_array()) return join(value);
  return value.dump();
}

std::string join(const Json& values) {
  std::string joined;
  for (const Json& value : values) joined += (joined.empty() ? "" : ", ") + plain(value);
  return joined.empty() ? std::string(kDash) : joined;
}

// What a choice means, for the choices whose names do not say it.
std::string_view meaning(std::string_view key, const Json& value) {
  const std::string word = value.is_string() ? value.get<std::string>() : "";
  if (key == "cpu_half_math") {
    if (word == "emulated") return ": products computed in fp32, results rounded";
    if (word == "native") return ": the processor's own half-precision instructions";
    if (word == "stock") return ": LibTorch's own kernels";
  }
  if (key == "cpu_fp32_engine") {
    if (word == "fastest") return ": the faster one for products, measured once";
    if (word == "stock") return ": LibTorch's default";
  }
  if (key == "max_grad_norm" && value.is_number() && value == 0)
    return ": gradients were not clipped";
  return "";
}

std::string field_text(std::string_view key, const Json& value) {
  if (key == "memory_bytes" && value.is_number()) {
    return grouped(value.get<double>() / 1e9, 1) + " GB";
  }
  return plain(value) + std::string(meaning(key, value));
}

std::string entry(std::string_view name, const std::string& shown) {
  return "<dt>" + escape_html(name) + "</dt><dd>" + escape_html(shown) + "</dd>\n";
}

template <typename Labels>
std::string definitions(const Json& object, const Labels& labels) {
  std::string html = "<dl>\n";
  for (const Label& label : labels) {
    const auto field = object.find(label.key);
    html += entry(label.name,
                  field == object.end() ? std::string(kDash) : field_text(label.key, *field));
  }
  for (const auto& [key, value] : object.items()) {
    const bool known = std::any_of(labels.begin(), labels.end(),
                                   [&key = key](const Label& label) { return label.key == key; });
    if (known) continue;
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    html += entry(name, field_text(key, value));
  }
  return html + "</dl>\n";
}

std::string head_cell(std::string_view name, std::string_view style = "number") {
  return "<th scope=\"col\" class=\"" + std::string(style) + "\">" + escape_html(name) + "</th>";
}

template <typename Show>
std::string number_cell(const std::optional<double>& value, const Show& show) {
  return "<td>" + (value ? show(*value) : std::string(kDash)) + "</td>";
}

std::string text_cell(const std::optional<std::string>& value) {
  return "<td class=\"text\">" + escape_html(value.value_or(std::string(kDash))) + "</td>";
}

std::string whole(double value) { return grouped(value); }
std::string tenths(double value) { return grouped(value, 1); }
std::string megabyte_tenths(double bytes) { return grouped(bytes / 1e6, 1); }

// The command line, each option with its value kept on one line where it fits.
std::string command_html(const Json& results) {
  const std::string command = text(results, "command").value_or(std::string(kDash));
  std::string html = "<pre><span>";
  std::size_t begin = 0;
  for (std::size_t end = command.find(" --"); end != std::string::npos;
       end = command.find(" --", begin)) {
    html += escape_html(command.substr(begin, end - begin)) + "</span> <span>";
    begin = end + 1;
  }
  return html + escape_html(command.substr(begin)) + "</span></pre>\n";
}

// Memory by part, in MB, as the mean over the seeds of each precision.
std::string memory_table(const std::vector<PrecisionResults>& columns) {
  std::string html = "<div class=\"scroll\"><table>\n<thead><tr>" + head_cell("MB");
  for (const PrecisionResults& column : columns) html += head_cell(column.precision);
  html += "</tr></thead>\n<tbody>\n";
  for (const Label& label : kMemoryLabels) {
    html += "<tr><th scope=\"row\">" + escape_html(label.name) + "</th>";
    for (const PrecisionResults& column : columns) {
      html += number_cell(mean_memory_part(column, label.key), megabyte_tenths);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string run_row(const Json& results, const Json& run, const amp::Measure& measure) {
  const auto quality = number(run, measure.key.c_str());
  const auto in_words = [&](double value) { return shown(measure, value); };
  return "<tr><th scope=\"row\">" + escape_html(text(run, "precision").value_or("")) +
         (flag(run, "perturbed") ? ", perturbed" : "") + "</th>" +
         number_cell(number(run, "seed"), whole) + text_cell(text(run, "device")) +
         text_cell(text(run, "policy")) + text_cell(text(run, "loss_scaling")) +
         number_cell(quality, in_words) + number_cell(number(run, "steps"), whole) +
         number_cell(number(run, "skipped_steps"), whole) +
         number_cell(number(run, "seconds"), tenths) +
         number_cell(number(run, "activation_bytes"), whole) +
         number_cell(number(run, "activation_integer_bytes"), whole) +
         text_cell(status_phrase(results, run)) + "</tr>\n";
}

std::string runs_table(const Json& results) {
  const auto measure = first_measure(results);
  std::string html = "<div class=\"scroll\"><table class=\"runs\">\n<thead><tr>";
  html += head_cell("Run") + head_cell("Seed") + head_cell("Device", "text") +
          head_cell("Policy", "text") + head_cell("Loss scaling", "text") +
          head_cell(with_capital(measure.name)) + head_cell("Steps") + head_cell("Skipped") +
          head_cell("Seconds") + head_cell("Activation bytes, float") +
          head_cell("Activation bytes, integer") + head_cell("Status", "text");
  html += "</tr></thead>\n<tbody>\n";
  for (const char* kind : {"runs", "perturbed_runs"}) {
    for (const Json& run : list(results, kind)) html += run_row(results, run, measure);
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string details(const Json& results) {
  std::string html = "<h3>Command</h3>\n" + command_html(results);
  html += "<div class=\"halves\"><div><h3>Machine</h3>\n" +
          definitions(section(results, "machine"), kMachineLabels) +
          "</div>\n<div><h3>Settings</h3>\n" +
          definitions(section(results, "settings"), kSettingsLabels) + "</div></div>\n";
  html += "<h3>Memory by part</h3>\n" + memory_table(group_by_precision(results));
  html += "<h3>Every run</h3>\n" + runs_table(results);
  return html;
}

}  // namespace ampersand::report
