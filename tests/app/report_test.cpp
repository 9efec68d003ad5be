// The report: what its table says, that no text breaks out of it, that it loads nothing, what it
// refuses.
#include "app/report/report.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "amp/error.h"
#include "tests/support/folders.h"

namespace ampersand::report_test {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

json sample() {
  std::ifstream file(amp::tests::data_folder() + "/sample_results.json");
  return json::parse(file);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  return from == std::string::npos ? "" : text.substr(from, text.find(end, from) - from);
}

// The cells of a row of the summary table as text, with '|' between the parts of a cell.
Row row(const std::string& page, const std::string& name) {
  const std::string html = between(page, "<th scope=\"row\">" + name + " <span", "</tr>");
  const std::regex cell("<td[^>]*>(.*?)</td>");
  Row cells;
  for (std::sregex_iterator at(html.begin(), html.end(), cell), end; at != end; ++at) {
    std::string text = std::regex_replace((*at)[1].str(), std::regex("( |<[^>]*>)*<[^>]*> *"), "|");
    cells.push_back(std::regex_replace(text, std::regex("^\\|+|\\|+$"), ""));
  }
  return cells;
}

// Everything up to the first script: the part that is written from the data as HTML.
std::string markup(const std::string& page) { return page.substr(0, page.find("<script")); }

std::string refusal(const json& results) {
  try {
    render_report(results);
  } catch (const amp::InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Report, TableHasAColumnPerPrecision) {
  const std::string head =
      between(render_report(sample()), "<table class=\"summary\">", "</thead>");
  for (const std::string precision : {"fp32", "bf16", "fp16", "fp16-unscaled"}) {
    EXPECT_EQ(count(head, "data-precision=\"" + precision + "\""), 1U) << precision;
  }
  EXPECT_EQ(count(head, "no loss scaling"), 3U);
  EXPECT_EQ(count(head, "dynamic loss scaling"), 1U);
}

TEST(Report, TableSaysHowGoodTheResultIs) {
  const std::string page = render_report(sample());
  EXPECT_EQ(row(page, "Test accuracy"),
            (Row{"90.47\u00a0%|± 0.24, 2 seeds", "90.37\u00a0%|± 0.24, 2 seeds",
                 "90.42\u00a0%|± 0.25, 2 seeds", "86.96\u00a0%|1 seed"}));
  EXPECT_EQ(
      row(page, "Difference to fp32"),
      (Row{"baseline", "−0.10 points|cannot tell|95 % interval −0.91 to +0.71; about 4 seeds would",
           "−0.05 points|equal within 0.50 points|95 % interval −0.41 to +0.31",
           "−3.51 points|outside noise|noise ± 0.34"}));  // as an earlier version wrote it
  EXPECT_EQ(row(page, "Final train loss"), (Row{"0.207", "0.207", "0.207", "0.294|1 of 2 seeds"}));
  EXPECT_EQ(row(page, "Test loss"), (Row{"0.253", "0.263", "0.260", "0.351|1 of 2 seeds"}));
  EXPECT_EQ(row(page, "Status"), (Row{"ok", "ok", "ok", "diverged at step 1,040|1 of 2 seeds"}));
}

TEST(Report, TableSaysWhatItCost) {
  const std::string page = render_report(sample());
  EXPECT_EQ(row(page, "Speed"), (Row{"2,815", "5,936", "4,153", "4,201"}));
  EXPECT_EQ(row(page, "Speed against fp32"), (Row{"baseline", "2.11×", "1.48×", "1.49×"}));
  EXPECT_EQ(row(page, "Peak memory"), (Row{"598", "377", "380", "379"}));
  EXPECT_EQ(row(page, "Activations"), (Row{"182", "95.4", "95.4", "95.4"}));
  EXPECT_EQ(row(page, "Activations against fp32"), (Row{"baseline", "0.52×", "0.52×", "0.52×"}));
  EXPECT_EQ(row(page, "Skipped steps"),
            (Row{"0|of 2,814", "0|of 2,814", "5|of 2,814", "0|of 2,447"}));
  EXPECT_EQ(row(page, "Final loss scale"), (Row{"–", "–", "16,384 (2¹⁴)|to 32,768 (2¹⁵)", "–"}));
}

TEST(Report, HeadSaysWhatWasTrained) {
  const std::string page = markup(render_report(sample()));
  EXPECT_TRUE(contains(page, "<h1>cnn on fashion-mnist: fp32, bf16, fp16 and fp16-unscaled</h1>"));
  EXPECT_TRUE(contains(
      page,
      "Trained cnn on fashion-mnist (60,000 training and 10,000 test samples), 3 epochs, "
      "batches of 128, optimizer sgd (learning rate 0.05 and momentum 0.9), seeds 0 and 1; "
      "on AMD EPYC 9R45, 2 cores, 2 threads."));
  EXPECT_TRUE(contains(page, "Ampersand 0.1.0, 2026-11-23 07:00 UTC"));
  EXPECT_TRUE(contains(page, "fp16 without loss scaling is not safe here"));
}

TEST(Report, DetailsHaveEveryRunAndItsActivationBytes) {
  const std::string table = between(render_report(sample()), "<table class=\"runs\">", "</table>");
  EXPECT_EQ(count(table, "<tr><th scope=\"row\">"), 8U);
  EXPECT_EQ(count(table, "<td>182,452,224</td><td>3,211,264</td>"), 2U);
  EXPECT_EQ(count(table, "<td>95,420,416</td><td>3,211,264</td>"), 6U);
  EXPECT_EQ(count(table, "diverged at step 1,040"), 1U);
}

TEST(Report, ThePerturbedRunStandsAmongTheRunsAlone) {
  json results = sample();
  results["perturbed_runs"] = {results["runs"][0]};
  results["perturbed_runs"][0]["perturbed"] = true;
  results["takeaway"] = "In short: use fp16.";
  const std::string page = markup(render_report(results));
  const std::string table = between(page, "<table class=\"runs\">", "</table>");
  EXPECT_EQ(count(table, "<tr><th scope=\"row\">"), 9U);
  EXPECT_EQ(count(table, "fp32, perturbed"), 1U);
  EXPECT_EQ(row(page, "Test accuracy"), row(render_report(sample()), "Test accuracy"));
  EXPECT_TRUE(contains(page, "<li>In short: use fp16.</li>"));
}

TEST(Report, PerplexityTakesThePlaceOfAccuracy) {
  const std::string page = render_report({{"runs",
                                           {{{"precision", "fp32"}, {"perplexity", 40.5}},
                                            {{"precision", "bf16"}, {"perplexity", 40.0}},
                                            {{"precision", "bf16"}, {"perplexity", 41.5}}}}});
  EXPECT_EQ(row(page, "Test perplexity"), (Row{"40.50|1 seed", "40.75|± 1.06, 2 seeds"}));
  EXPECT_EQ(row(page, "Difference to fp32"), (Row{"baseline", "+0.25"}));
  EXPECT_FALSE(contains(markup(page), "Test accuracy"));
}

TEST(Report, SaysHowRunsEnded) {
  json results = sample();
  results["runs"][2]["stopped"] = "the disk is full";
  results["runs"][7]["stopped"] = "50 steps in a row overflowed";
  results["interrupted"] = true;
  results["runs"][4]["ending"] = "interrupted";
  EXPECT_EQ(row(render_report(results), "Status"),
            (Row{"ok", "stopped: the disk is full", "interrupted",
                 "diverged at step 1,040|1 of 2 seeds|50 steps in a row overflowed"}));
  EXPECT_TRUE(contains(render_report(results), "Interrupted before the end"));
  EXPECT_FALSE(contains(markup(render_report(sample())), "Interrupted before the end"));
}

TEST(Report, MissingFieldsShowAsDashes) {
  const std::string page = render_report({{"runs", {{{"precision", "fp16"}}}}});
  for (const std::string name :
       {"Test accuracy", "Final train loss", "Test loss", "Speed", "Peak memory", "Activations",
        "Skipped steps", "Final loss scale"}) {
    EXPECT_EQ(row(page, name), Row{"–"}) << name;
  }
  EXPECT_EQ(row(page, "Status"), Row{"ok"});
  EXPECT_TRUE(contains(page, "<dt>LibTorch</dt><dd>–</dd>"));
}

TEST(Report, FieldsOfOtherTypesCountAsMissing) {
  const json expected = {{"precision", "fp16"}};
  json run = expected;
  for (const char* name : {"seed",
                           "device",
                           "policy",
                           "loss_scaling",
                           "train_loss",
                           "test_loss",
                           "test_accuracy",
                           "perplexity",
                           "steps",
                           "skipped_steps",
                           "final_scale",
                           "diverged",
                           "diverged_at_step",
                           "stopped",
                           "ending",
                           "seconds",
                           "samples_per_second",
                           "peak_memory_bytes",
                           "memory",
                           "activation_bytes",
                           "activation_integer_bytes",
                           "history",
                           "skipped_at"}) {
    run[name] = {{"of", {"another", "type"}}};
  }
  const json odd = {{"version", 1},    {"command", nullptr},  {"kind", {1}},
                    {"created", {2}},  {"interrupted", "no"}, {"machine", "none"},
                    {"settings", {3}}, {"runs", {run}},       {"summary", "short"},
                    {"verdict", 4}};
  EXPECT_EQ(markup(render_report(odd)), markup(render_report({{"runs", {expected}}})));
}

TEST(Report, NonFiniteNumbersCountAsMissing) {
  const json run = {{"precision", "fp16"}, {"train_loss", std::numeric_limits<double>::infinity()}};
  EXPECT_EQ(row(render_report({{"runs", {run}}}), "Final train loss"), Row{"–"});
}

TEST(Report, HostileTextStaysText) {
  const std::string hostile = "</script><b>\"'&<!--{{results}}";
  json results = sample();
  const auto scripts = count(render_report(results), "</script>");
  results["settings"]["model"] = hostile;
  results["machine"][hostile] = hostile;
  results["verdict"] = {hostile};
  results["command"] = hostile;
  for (const char* name : {"precision", "policy", "device", "loss_scaling", "stopped"}) {
    results["runs"][0][name] = hostile;
  }
  const std::string page = render_report(results);
  EXPECT_EQ(count(page, "</script>"), scripts);
  EXPECT_FALSE(contains(page, "<b>"));
  EXPECT_EQ(count(page, "<!--"), 1U);  // the frame's own comment
  EXPECT_TRUE(
      contains(page, "<dd>&lt;/script&gt;&lt;b&gt;&quot;&#39;&amp;&lt;!--{{results}}</dd>"));
  EXPECT_TRUE(contains(page, R"("model":"\u003c/script>\u003cb>\"'&\u003c!--{{results}}")"));
}

TEST(Report, InvalidUtf8IsReplaced) {
  const std::string page = render_report({{"runs", {{{"precision", "fp\xff"}}}}});
  EXPECT_TRUE(contains(page, "data-precision=\"fp\ufffd\""));
  EXPECT_FALSE(contains(page, "\xff"));
}

TEST(Report, DataInThePageAreTheResults) {
  const std::string begin = "<script type=\"application/json\" id=\"results\">";
  const std::string data = between(render_report(sample()), begin, "</script>");
  ASSERT_FALSE(data.empty());
  EXPECT_EQ(json::parse(data.substr(begin.size())), sample());
}

TEST(Report, LoadsNothing) {
  const std::string page = render_report(sample());
  EXPECT_TRUE(contains(page, "default-src 'none'"));
  for (const std::string load : {"src=\"", "src='", "href=\"http", "href='http", "href=\"//",
                                 "url(", "@import", "fetch(", "XMLHttpRequest", "sendBeacon"}) {
    EXPECT_FALSE(contains(page, load)) << load;
  }
  EXPECT_FALSE(contains(markup(page), "http://"));
  EXPECT_FALSE(contains(markup(page), "https://"));
}

TEST(Report, ChartsAreInThePage) {
  const std::string page = render_report(sample());
  EXPECT_TRUE(contains(page, "Chart.js v3"));
  EXPECT_FALSE(contains(markup(page), "{{"));  // every part was put in
  for (const std::string chart :
       {"trainLoss", "quality", "gradientsLost", "lossScale", "speed", "memory"}) {
    EXPECT_EQ(count(page, "data-chart=\"" + chart + "\""), 1U) << chart;
  }
}

TEST(Report, RefusesWhatAreNoResults) {
  const std::string remedy = "; pass the contents of a results.json";
  EXPECT_EQ(refusal(json::array()), "render_report: results must be an object, got array" + remedy);
  EXPECT_EQ(refusal(json::object()),
            "render_report: results must have a list \"runs\", got none" + remedy);
  EXPECT_EQ(refusal({{"runs", 3}}), "render_report: \"runs\" must be a list, got number" + remedy);
  EXPECT_EQ(refusal({{"runs", json::array()}}),
            "render_report: \"runs\" must hold at least one run, got an empty list" + remedy);
  EXPECT_EQ(refusal({{"runs", {7}}}),
            "render_report: \"runs\"[0] must be an object, got number" + remedy);
  EXPECT_EQ(refusal({{"runs", {{{"precision", "fp32"}}, {{"seed", 1}}}}}),
            "render_report: \"runs\"[1] must have a name as its \"precision\", got none" + remedy);
  EXPECT_EQ(refusal({{"runs", {{{"precision", 16}}}}}),
            "render_report: \"runs\"[0] must have a name as its \"precision\", got 16" + remedy);
}

}  // namespace
}  // namespace ampersand::report_test
