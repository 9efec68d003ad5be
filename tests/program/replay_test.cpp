// ampersand replay: traces whose outcome can be counted by hand.
#include <fstream>

#include "tests/program/program.h"

namespace ampersand::tests::replay_test {
namespace {

class Replay : public ProgramTest {
 protected:
  void write(const std::string& folder, const std::string& lines) const {
    std::filesystem::create_directories(path(folder));
    std::ofstream(path(folder) / "metrics.jsonl") << lines;
  }
  Json answered(const Arguments& arguments) const {
    const auto outcome = run(joined(joined({"replay"}, arguments), {"--json"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out, nullptr, false);
  }
};

std::string start(const std::string& loss_scaling = "dynamic") {
  const Json run = {{"event", "run"},
                    {"run", 0},
                    {"precision", "fp16"},
                    {"loss_scaling", loss_scaling},
                    {"recipe",
                     {{"accumulation", 1},
                      {"static_scale", 128},
                      {"scaler", {{"init_scale", 65536}, {"growth_interval", 2000}}}}}};
  return "{\"event\":\"start\"}\n" + run.dump() + "\n";
}

std::string step(int number, double scale, bool skipped) {
  return Json{{"event", "step"}, {"run", 0},           {"step", number},
              {"scale", scale},  {"skipped", skipped}, {"found_inf", {skipped}}}
             .dump() +
         "\n";
}

// Overflows at 65536 and 32768, then 98 clean steps at 16384.
std::string descent() {
  auto lines = start() + step(1, 65536, true) + step(2, 32768, true);
  for (int i = 3; i <= 100; ++i) lines += step(i, 16384, false);
  return lines;
}

TEST_F(Replay, TellsWhatOtherSettingsWouldHaveDone) {
  write("run", descent());
  const auto answer = answered({"run", "--init-scale", "16384", "--growth-interval", "1000"});
  EXPECT_EQ(answer["steps"], 100);
  EXPECT_EQ(answer["recorded"]["skipped"], 2);
  EXPECT_EQ(answer["recorded"]["course"], Json::parse("[[1,65536.0],[2,32768.0],[3,16384.0]]"));
  EXPECT_EQ(answer["asked"]["skipped"], 0);
  EXPECT_EQ(answer["asked"]["final_scale"], 16384);
  EXPECT_EQ(answer["asked"]["course"], Json::parse("[[1,16384.0]]"));
  EXPECT_EQ(answer["suggested"]["skipped"], 0);
  EXPECT_EQ(answer["suggested"]["settings"]["init_scale"], 16384);
}

TEST_F(Replay, AsksWithTorchsSettingsByDefault) {
  write("run", descent());
  const auto answer = answered({"run"});
  EXPECT_EQ(answer["asked"]["settings"],
            Json::parse(R"({"init_scale": 65536.0, "growth_factor": 2.0,
      "backoff_factor": 0.5, "growth_interval": 2000})"));
  EXPECT_EQ(answer["asked"]["skipped"], 2);
  EXPECT_EQ(answer["asked"]["course"], answer["recorded"]["course"]);
  const auto table = run({"replay", "run"});
  EXPECT_TRUE(table.out.starts_with("run 0: fp16, dynamic loss scaling, 100 steps\n")) << table.out;
}

// A gradient between 2 and 4 overflows at 32768 (4 x 32768 is beyond 65504), and at 8192 it does not.
TEST_F(Replay, AMeasuredGradientDecides) {
  const Json range = {{"first_exponent", -3}, {"counts", {1, 1, 1, 1, 1}}};
  const Json measured = {{"event", "gradients"}, {"run", 0},        {"step", 1}, {"scale", 8192},
                         {"activations", range}, {"weights", range}};
  write("run", start() + measured.dump() + "\n" + step(1, 8192, false));
  EXPECT_EQ(answered({"run", "--init-scale", "32768"})["asked"]["skipped"], 1);
  EXPECT_EQ(answered({"run", "--init-scale", "32768"})["asked"]["uncertain"], 0);
  EXPECT_EQ(answered({"run", "--init-scale", "8192"})["asked"]["skipped"], 0);
}

TEST_F(Replay, ATraceCutShortIsGoodUntilThere) {
  write("run", descent().substr(0, descent().size() - 20));
  EXPECT_EQ(answered({"run"})["steps"], 99);
  EXPECT_EQ(answered({"run/metrics.jsonl"})["steps"], 99);
}

TEST_F(Replay, RefusesWhatIsNoTraceOfAScaler) {
  write("garbage", "garbage\n{}\n");
  expect_refusal_like(run({"replay", "garbage"}), 3, "garbage/metrics.jsonl: line 1 is not a JSON");
  write("empty", "");
  expect_refusal_like(run({"replay", "empty"}), 3, "empty/metrics.jsonl: replay: no run has begun");
  write("unscaled", start("none") + step(1, 1, false));
  expect_refusal_like(run({"replay", "unscaled"}), 3,
                      "unscaled/metrics.jsonl: replay: run 0 (fp16)", "has no loss scaling");
  write("cut", start());
  expect_refusal_like(run({"replay", "cut"}), 3,
                      "cut/metrics.jsonl: replay: run 0 has no step yet");
  expect_refusal_like(run({"replay", "none"}), 3, "none: cannot be read");
  write("other", start() + "{\"event\":\"step\",\"run\":0,\"step\":1}\n");
  expect_refusal_like(run({"replay", "other"}), 3, "other/metrics.jsonl: replay: the trace is no");
}

TEST_F(Replay, RefusesSettingsThatNoScalerHas) {
  write("run", descent());
  expect_refusal_like(run({"replay", "run", "--growth-factor", "1"}), 2,
                      "GradScaler: growth_factor");
  expect_refusal_like(run({"replay", "run", "--backoff-factor", "1"}), 2,
                      "GradScaler: backoff_factor");
  expect_refusal(run({"replay", "run", "--run", "3"}), 2, "--run: there is no run 3 in this trace");
}

TEST_F(Replay, TheTrainerWritesWhatItNeeds) {
  ASSERT_EQ(run(small("train", "half", {"--precision", "fp16", "--accumulation", "2"})).status, 0);
  const auto steps = events_of(path("half/metrics.jsonl"), "step");
  ASSERT_EQ(steps.size(), 4U);
  EXPECT_FALSE(steps[0].contains("found_inf")) << "the window goes on";
  EXPECT_EQ(steps[1]["found_inf"], Json{steps[1]["skipped"]});
  EXPECT_EQ(steps[3]["found_inf"].size(), 1U);
  EXPECT_TRUE(steps[3]["tracker"].is_number());
  EXPECT_EQ(answered({"half"})["steps"], 2);
}

}  // namespace
}  // namespace ampersand::tests::replay_test
