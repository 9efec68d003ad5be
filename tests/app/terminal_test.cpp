// What the terminal shows: the table of results and times.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>
#include <string>

#include "app/results/results_table.h"
#include "app/terminal/progress.h"
#include "app/terminal/wrapped.h"

namespace ampersand::tests::terminal_test {
namespace {

using nlohmann::json;

TEST(ClockTime, HasHoursOnlyWhereNeeded) {
  EXPECT_EQ(clock_time(0), "0:00");
  EXPECT_EQ(clock_time(35.4), "0:35");
  EXPECT_EQ(clock_time(59.6), "1:00");
  EXPECT_EQ(clock_time(725), "12:05");
  EXPECT_EQ(clock_time(3599), "59:59");
  EXPECT_EQ(clock_time(7800), "2:10:00");
  EXPECT_EQ(clock_time(360'061), "100:01:01");
  EXPECT_EQ(clock_time(-3), "0:00");
}

TEST(Table, ComparesPrecisions) {
  const auto results = json::parse(R"({
    "runs": [
      {"precision": "fp32", "train_loss": 0.25, "samples_per_second": 2000.0,
       "activation_bytes": 2000000, "peak_memory_bytes": 70000000, "skipped_steps": 0,
       "final_scale": 1.0, "ending": "finished"},
      {"precision": "fp16", "train_loss": 0.5, "activation_bytes": 1000000,
       "peak_memory_bytes": 50000000, "skipped_steps": 1, "final_scale": 65536.0,
       "ending": "finished"},
      {"precision": "fp16", "train_loss": 0.25, "activation_bytes": 1000000,
       "peak_memory_bytes": 60000000, "skipped_steps": 2, "final_scale": 32768.0,
       "ending": "finished"}],
    "summary": [
      {"precision": "fp32", "mean": 0.9012, "deviation": null, "speed_ratio": 1.0,
       "activation_ratio": 1.0},
      {"precision": "fp16", "mean": 0.8912, "deviation": 0.0023, "difference": -0.01,
       "verdict": "worse", "speed_ratio": null, "activation_ratio": 0.5}],
    "takeaway": "In short: use bf16."})");
  EXPECT_EQ(results_table(results),
            "precision  test accuracy    against fp32         loss    samples/s  x fp32  act. MB  "
            "x fp32  peak MB  skipped  scale  ending\n"
            "fp32       90.12 %                               0.2500  2000       1.00    2.0      "
            "1.00    70.0     0        1      ok\n"
            "fp16       89.12 % +- 0.23  -1.00 points, worse  0.3750  -          -       1.0      "
            "0.50    55.0     1.5      49152  ok\n"
            "\nIn short: use bf16.\n");
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

TEST(Table, FitsTheTerminal) {
  json run = {{"precision", "fp16-unscaled"}, {"train_loss", 0.25},  {"samples_per_second", 2000.0},
              {"activation_bytes", 2e9},      {"skipped_steps", 0},  {"final_scale", 65536.0},
              {"peak_memory_bytes", 7e9},     {"ending", "finished"}};
  const json entry = {{"precision", "fp16-unscaled"}, {"mean", 0.8912},       {"deviation", 0.0023},
                      {"difference", -0.01},          {"verdict", "unknown"}, {"speed_ratio", 1.0},
                      {"activation_ratio", 0.5}};
  const json results = {{"runs", {run}}, {"summary", {entry}}};
  const auto whole = results_table(results);
  EXPECT_GT(longest_line(whole), 110U);
  EXPECT_EQ(results_table(results, 200), whole);
  for (const std::size_t width : {48U, 80U, 110U}) {
    const auto table = results_table(results, width);
    EXPECT_LE(longest_line(table), width) << table;
    for (const std::string part : {"against fp32", "-1.00 points, cannot tell", "65536", "ok"})
      EXPECT_NE(table.find(part), std::string::npos) << part;
  }
  const auto table = results_table(results, 80);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 5);  // two tables, an empty line between
}

TEST(Table, LinesBreakBetweenWords) {
  EXPECT_EQ(wrapped("one two three", 8), "one two\nthree");
  EXPECT_EQ(wrapped("one two three\n", 7, 2), "one two\n  three\n");
  EXPECT_EQ(wrapped("one two", 7), "one two");
  EXPECT_EQ(wrapped("incomprehensible two", 5), "incomprehensible\ntwo");
  EXPECT_EQ(wrapped("one two three", 0), "one two three");
  EXPECT_EQ(wrapped("\u00e9\u00e9\u00e9 \u00e9\u00e9\u00e9", 7),
            "\u00e9\u00e9\u00e9 \u00e9\u00e9\u00e9");
  EXPECT_EQ(wrapped("", 5), "");
}

// The last column of the only row.
std::string ending_of(const json& runs) {
  const auto table = results_table({{"runs", runs}, {"summary", {{{"precision", "fp16"}}}}});
  return table.substr(table.find('\n') + 1 + table.find("ending"));
}

TEST(Table, SaysHowRunsEnded) {
  const json fine = {{"precision", "fp16"}, {"ending", "finished"}, {"diverged", false}};
  const json cut = {{"precision", "fp16"}, {"ending", "interrupted"}, {"diverged", false}};
  const json diverged = {
      {"precision", "fp16"}, {"ending", "diverged"}, {"diverged", true}, {"diverged_at_step", 12}};
  EXPECT_EQ(ending_of({fine, fine}), "ok\n");
  EXPECT_EQ(ending_of({fine, cut}), "interrupted\n");
  EXPECT_EQ(ending_of({fine, diverged}), "non-finite at step 12\n");
}

TEST(Table, ShowsADashForWhatIsNotKnown) {
  EXPECT_EQ(
      results_table({{"runs", {{{"precision", "bf16"}}}}, {"summary", {{{"precision", "bf16"}}}}}),
      "precision  test accuracy  against fp32  loss  samples/s  x fp32  act. MB  x fp32  "
      "peak MB  skipped  scale  ending\n"
      "bf16       -                            -     -          -       -        -       "
      "-        -        -      ok\n");
}

}  // namespace
}  // namespace ampersand::tests::terminal_test
