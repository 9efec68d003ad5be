// What is done with a trained model: eval, predict, export; and models and recipes from files.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/program/program.h"
#include "tests/support/folders.h"

namespace ampersand::tests::trained_model_test {
namespace {

class TrainedModel : public ProgramTest {
 protected:
  void train(const std::string& output, const Arguments& more = {}) const {
    Arguments all = {"--optimizer", "adam", "--lr", "0.003"};
    if (std::find(more.begin(), more.end(), "--epochs") == more.end())
      all = joined(all, {"--epochs", "15"});
    const auto outcome = run(small("train", output, joined(all, more)));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  const std::string scripted = amp::tests::golden_folder() + "/scripted/rows.pt";
};

TEST_F(TrainedModel, EvalGivesTheAccuracyOfTheLastEvaluation) {
  train("run", {"--precision", "bf16", "--ema", "0.99"});
  const auto last = events_of(path("run/metrics.jsonl"), "evaluation").back();
  const auto outcome = run({"eval", "run", "--json", "--threads", "1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto result = Json::parse(outcome.out);
  EXPECT_EQ(result["test_loss"], last["test_loss"]);
  EXPECT_EQ(result["test_accuracy"], last["test_accuracy"]);
  EXPECT_EQ(result["precision"], "bf16");
  EXPECT_EQ(result["step"], 60);
  const auto average = Json::parse(run({"eval", "run", "--json", "--ema", "--threads", "1"}).out);
  EXPECT_EQ(average["test_loss"], last["ema_test_loss"]);
  EXPECT_NE(average["test_loss"], last["test_loss"]);
  const auto wide = Json::parse(
      run({"eval", "run/checkpoints/step-000000060", "--json", "--precision", "fp32"}).out);
  EXPECT_EQ(wide["precision"], "fp32");
  EXPECT_NEAR(wide["test_loss"].get<double>(), last["test_loss"].get<double>(), 0.02);
  EXPECT_TRUE(contains(run({"eval", "run"}).out, "accuracy 100.00 % of 32 images"));
}

TEST_F(TrainedModel, PredictNamesAClassForEachImage) {
  train("run");
  ASSERT_EQ(run({"predict", "run", "--output", "p.csv"}).status, 0);
  std::istringstream lines(text_of(path("p.csv")));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "index,label,predicted,probability");
  int count = 0;
  for (; std::getline(lines, line); ++count) {
    int index = -1, label = -1, predicted = -2;
    double probability = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d,%d,%d,%lf", &index, &label, &predicted, &probability),
              4);
    EXPECT_EQ(index, count);
    EXPECT_EQ(label, predicted);  // it has learned them all
    EXPECT_GT(probability, 0.25);
    EXPECT_LE(probability, 1.0);
  }
  EXPECT_EQ(count, 32);
  EXPECT_EQ(run({"predict", "run"}).out, text_of(path("p.csv")));
}

TEST_F(TrainedModel, ExportWritesEachDtypeAndFormat) {
  train("run", {"--precision", "O2"});
  const auto size = [&](const std::string& name) {
    return static_cast<double>(std::filesystem::file_size(path(name)));
  };
  for (const std::string dtype : {"fp32", "bf16", "fp16"}) {
    const auto outcome = run({"export", "run", "--dtype", dtype});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "8 tensors of step 60  weights-" + dtype + ".safetensors\n");
  }
  // The masters, not the fp16 copies: fp32 takes twice the bytes.
  EXPECT_NEAR(size("weights-fp32.safetensors") / size("weights-fp16.safetensors"), 2, 0.05);
  EXPECT_NEAR(size("weights-bf16.safetensors"), size("weights-fp16.safetensors"), 16);  // "BF16"
  ASSERT_EQ(run({"export", "run", "--format", "state_dict", "--output", "w.pt"}).status, 0);
  EXPECT_TRUE(text_of(path("w.pt")).starts_with("PK"));
  expect_refusal(run({"export", "run", "--output", "w.pt"}), 2,
                 "--output w.pt is there already; pass --overwrite to replace it");
  expect_refusal(run({"export", "run", "--dtype", "fp8"}), 2,
                 "--dtype must be fp32, bf16 or fp16, got 'fp8'");
  expect_refusal(run({"export", "run", "--format", "onnx"}), 2,
                 "--format must be safetensors, state_dict or gpt2, got 'onnx'");
  expect_refusal_like(run({"export", "run", "--ema", "--output", "e"}), 2,
                      "--ema: run/checkpoints");
}

TEST_F(TrainedModel, DataOfAnotherKindAreRefused) {
  train("run");
  const auto outcome = run({"eval", "run", "--data", "fashion-mnist"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err,
            "ampersand: --data: the model was trained on images of 1 x 8 x 8 pixels in 4 classes, "
            "these are of 1 x 28 x 28 pixels in 10 classes; give data of the same kind\n");
}

TEST_F(TrainedModel, TorchScriptIsTrainedAndEvaluated) {
  for (const std::string precision : {"fp32", "bf16", "fp16"}) {
    train(precision, {"--model", scripted, "--precision", precision, "--epochs", "40"});
    EXPECT_EQ(json_of(path(precision) / "results.json")["runs"][0]["test_accuracy"], 1)
        << precision;
  }
  EXPECT_TRUE(contains(run({"eval", "fp16"}).out, "accuracy 100.00 %"));
}

TEST_F(TrainedModel, APlugInIsTrained) {
  const std::string library = AMP_PLUG_IN;
  train("pooled", {"--model", library + ":pooled", "--precision", "fp16"});
  train("smoothed", {"--model", library + ":smoothed", "--precision", "fp16"});
  EXPECT_EQ(json_of(path("pooled/results.json"))["runs"][0]["test_accuracy"], 1);
  // Label smoothing keeps its loss up.
  EXPECT_GT(json_of(path("smoothed/results.json"))["runs"][0]["test_loss"].get<double>(),
            json_of(path("pooled/results.json"))["runs"][0]["test_loss"].get<double>());
  EXPECT_EQ(run({"eval", "smoothed"}).status, 0);
  const auto name = std::filesystem::path(library).string();
  expect_refusal(
      run(small("train", "x", {"--model", library})), 2,
      "--model " + name + " registers pooled, smoothed; choose one as " + name + ":pooled");
  expect_refusal(run(small("train", "x", {"--model", library + ":none"})), 2,
                 "--model " + name + " registers pooled, smoothed; choose one as " + name +
                     ":pooled, got 'none'");
}

TEST_F(TrainedModel, FilesThatAreNoModelsAreRefused) {
  write_small_data();
  expect_refusal(run(small("train", "x", {"--model", "./none.so"})), 3,
                 "./none.so: no such file; give a plug-in, LIBRARY.so");
  expect_refusal(run(small("train", "x", {"--model", "none.pt"})), 3,
                 "none.pt: no such file; give --model a file that torch.jit.save wrote");
  std::ofstream(path("bad.so")) << "hello";
  expect_refusal_like(run(small("train", "x", {"--model", "./bad.so"})), 3,
                      "./bad.so: cannot be loaded: ");
  std::ofstream(path("bad.pt")) << "hello";
  expect_refusal_like(run(small("train", "x", {"--model", "bad.pt"})), 3,
                      "bad.pt: is no TorchScript model");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(TrainedModel, TheRecipeIsWrittenAndTaken) {
  train("first", {"--precision", "fp16", "--accumulation", "2", "--max-grad-norm", "0.5",
                  "--loss-scale", "128"});
  const auto recipe = json_of(path("first/recipe.json"));
  EXPECT_EQ(recipe["compute_dtype"], "fp16");
  EXPECT_EQ(recipe["loss_scaling"], "fixed");
  EXPECT_EQ(recipe["static_scale"], 128);
  EXPECT_EQ(recipe["accumulation"], 2);
  EXPECT_EQ(recipe["max_grad_norm"], 0.5);
  std::filesystem::copy_file(path("first/recipe.json"), path("mine.json"));
  train("second", {"--recipe", "mine.json"});
  EXPECT_EQ(json_of(path("second/recipe.json")), recipe);
  const auto losses = [&](const std::string& name) {
    std::vector<Json> all;
    for (const auto& step : events_of(path(name) / "metrics.jsonl", "step"))
      all.push_back(step["loss"]);
    return all;
  };
  EXPECT_EQ(losses("second"), losses("first"));
  EXPECT_EQ(json_of(path("second/results.json"))["runs"][0]["precision"], "mine");
  train("third", {"--recipe", "mine.json", "--accumulation", "1"});
  EXPECT_EQ(json_of(path("third/recipe.json"))["accumulation"], 1);
}

TEST_F(TrainedModel, BadRecipesAreRefused) {
  std::ofstream(path("r.json")) << R"({"compute_dtyp": "fp16"})";
  expect_refusal(run(small("train", "x", {"--recipe", "r.json"})), 3,
                 "r.json: Recipe: unknown field 'compute_dtyp'; did you mean 'compute_dtype'?");
  std::ofstream(path("r.json")) << "{";
  expect_refusal(run(small("train", "x", {"--recipe", "r.json"})), 3,
                 "r.json: Recipe: the text is not JSON");
  expect_refusal(run(small("train", "x", {"--recipe", "none.json"})), 3,
                 "none.json: cannot be read (No such file or directory); give a recipe file");
  expect_refusal(run(small("train", "x", {"--recipe", "r.json", "--precision", "fp16"})), 2,
                 "--precision and --recipe both say how to train; give one");
}

// A step that was skipped does not move the schedule.
TEST_F(TrainedModel, TheScheduleWaitsForTheOptimizer) {
  // No step is taken, which is no success.
  const auto outcome =
      run(small("train", "run",
                {"--optimizer", "adam", "--lr", "0.003", "--precision", "fp16", "--loss-scale",
                 "1e30", "--schedule", "linear", "--epochs", "1"}));
  EXPECT_EQ(outcome.status, 4) << outcome.err;
  for (const auto& step : events_of(path("run/metrics.jsonl"), "step")) {
    EXPECT_EQ(step["skipped"], true);
    EXPECT_EQ(step["lr"], 0.003);
  }
  train("clean", {"--schedule", "linear", "--epochs", "1"});
  const auto steps = events_of(path("clean/metrics.jsonl"), "step");
  EXPECT_EQ(steps[0]["lr"], 0.003);
  EXPECT_NEAR(steps[2]["lr"].get<double>(), 0.0015, 1e-12);
}

}  // namespace
}  // namespace ampersand::tests::trained_model_test
