// What results.json and metrics.jsonl hold as structs, there and back.
#include <gtest/gtest.h>

#include <cmath>

#include "app/results/step_event.h"
#include "app/results/summary_entry.h"

namespace ampersand::tests::entries_test {
namespace {

using nlohmann::json;

TEST(StepEvents, GoToJsonAndBack) {
  const auto object = json::parse(R"({"event": "step", "run": 2, "step": 7, "epoch": 3, "lr": 0.5,
      "loss": 1.25, "scale": 1024, "skipped": true, "seconds": 0.25, "grad_norm": 3.5,
      "found_inf": [false, true], "tracker": 4})");
  const auto event = step_event(object);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->step, 7);
  EXPECT_EQ(event->found_inf, (std::vector<bool>{false, true}));
  EXPECT_EQ(to_json(*event), object);
}

TEST(StepEvents, OfAFlushHasNoLoss) {
  const auto object =
      json::parse(R"({"event": "flush", "run": 0, "step": 9, "scale": 2, "skipped": false})");
  const auto event = step_event(object);
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->is_flush);
  EXPECT_TRUE(std::isnan(event->loss_or_nan()));
  EXPECT_EQ(to_json(*event), object);
}

TEST(StepEvents, ALossThatWasNotFiniteIsNull) {
  const auto event = step_event({{"event", "step"}, {"step", 1}, {"scale", 1}, {"loss", nullptr}});
  EXPECT_TRUE(std::isnan(event->loss_or_nan()));
  EXPECT_FALSE(step_event({{"event", "evaluation"}, {"step", 1}}).has_value());
}

TEST(SummaryEntries, GoToJsonAndBack) {
  const auto object = json::parse(R"({"precision": "bf16", "metric": "perplexity", "runs": 3,
      "seeds": 2, "diverged": 1, "failed": 0, "mean": 4.5, "deviation": 0.25,
      "standard_error": 0.125, "samples_per_second": 10.5, "tokens_per_second": 1000.5,
      "bits_per_byte": 2.25, "speed_ratio": 1.5, "activation_ratio": null, "difference": 0.5,
      "scale": "relative", "noise": 0.25, "within_noise": false, "verdict": "worse",
      "interval": [0.25, 0.75], "margin": 0.0625, "seeds_needed": null, "pairs": 2,
      "deviation_of_pairs": 0.5, "degrees_of_freedom": 1})");
  const auto entry = summary_entry(object);
  EXPECT_EQ(entry.others.at("bits_per_byte"), 2.25);
  EXPECT_EQ(entry.compared->finding, Finding::worse);
  EXPECT_EQ(to_json(entry), object);
}

TEST(SummaryEntries, HaveWhatIsThere) {
  const auto entry = summary_entry({{"precision", "fp16"}});
  EXPECT_EQ(entry.precision, "fp16");
  EXPECT_FALSE(entry.mean.has_value());
  EXPECT_FALSE(entry.compared.has_value());
  EXPECT_FALSE(to_json(entry).contains("speed_ratio"));
}

}  // namespace
}  // namespace ampersand::tests::entries_test
