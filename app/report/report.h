// The report: one self-contained HTML page made from the results of `ampersand train` or `compare`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace ampersand {

// Renders `results`, the contents of results.json, as one UTF-8 HTML document that needs no
// network: style, scripts and data are inside it. Its tables are plain HTML and work without
// JavaScript; the charts need it.
//
// `results`: an object with "runs", a list of at least one object that has a string "precision".
// Every other
//   field is optional: one that is missing or has an unexpected type shows as a dash or is left
//   out. Bytes are bytes, times seconds, accuracies fractions in 0..1. Text may hold anything: all
//   of it is escaped, and invalid UTF-8 is replaced.
// Throws: amp::InvalidArgument where `results` is no such object.
std::string render_report(const nlohmann::json& results);

}  // namespace ampersand
