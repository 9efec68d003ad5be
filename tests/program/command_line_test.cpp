// The command line: help, and one clear line for each thing that cannot be done.
#include "tests/program/program.h"

namespace ampersand::tests::command_line_test {
namespace {

class CommandLine : public ProgramTest {
 protected:
  void expect_usage(const Arguments& arguments, const std::string& message) const {
    expect_refusal(run(arguments), 2, message);
  }
  // For messages of which the wording is the parser's.
  void expect_usage_like(const Arguments& arguments, const std::string& part) const {
    expect_refusal_like(run(arguments), 2, "", part);
  }
};

TEST_F(CommandLine, HelpNamesTheSubcommands) {
  const auto help = run({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.err, "");
  for (const std::string command : {"train", "compare", "info", "report"}) {
    EXPECT_TRUE(contains(help.out, "\n  " + command + " ")) << command;
    const auto own = run({command, "--help"});
    EXPECT_EQ(own.status, 0) << command;
    EXPECT_TRUE(contains(own.out, "ampersand " + command)) << own.out;
  }
}

TEST_F(CommandLine, HelpOfTrainNamesItsOptionsAndDefaults) {
  const auto help = run({"train", "--help"}).out;
  for (const std::string option :
       {"--model TEXT=cnn", "--data TEXT", "--precision TEXT=fp32", "--optimizer",
        "--lr FLOAT=0.05", "--batch-size INT=128", "--epochs INT=3", "--steps", "--accumulation",
        "--max-grad-norm", "--loss-scale", "--device TEXT=cpu", "--seed INT=0", "--threads",
        "--output", "--overwrite"}) {
    EXPECT_TRUE(contains(help, option)) << option;
  }
  const auto compare = run({"compare", "--help"}).out;
  EXPECT_TRUE(contains(compare, "--precisions TEXT=fp32,bf16,fp16,fp16-unscaled"));
  EXPECT_TRUE(contains(compare, "--seeds INT=1"));
}

TEST_F(CommandLine, VersionIsTheProjects) {
  const auto version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "ampersand " AMP_PROJECT_VERSION "\n");
}

TEST_F(CommandLine, ASubcommandIsNeeded) {
  expect_usage_like({}, "subcommand is required");
  expect_usage({"trian"}, "no such subcommand or option: trian; see ampersand --help");
  expect_usage({"--quiet"}, "no such subcommand or option: --quiet; see ampersand --help");
}

TEST_F(CommandLine, OptionsMustBeKnownAndHaveValues) {
  expect_usage_like({"train", "--precison", "fp16"}, "--precison");
  expect_usage_like({"train", "--lr"}, "--lr");
  expect_usage_like({"train", "--lr", "fast"}, "--lr = fast");
  expect_usage_like({"train", "--steps", "1.5"}, "--steps = 1.5");
  expect_usage_like({"train", "--seed", "1", "--seed", "2"}, "--seed");
  expect_usage_like({"train", "extra"}, "extra");
  expect_usage_like({"train", "--precisions", "fp32"}, "--precisions");
  expect_usage_like({"compare", "--precision", "fp32"}, "--precision");
  expect_usage_like({"report"}, "folder");
  expect_usage_like({"info", "--threads", "-1"}, "--threads");
}

TEST_F(CommandLine, NamesMustBeKnown) {
  expect_usage({"train", "--model", "vgg"},
               "--model must be mlp, cnn, resnet18, gpt, lstm, seq2seq, speech, LIBRARY.so with a "
               "model of your own "
               "or FILE.pt of TorchScript, got 'vgg'");
  expect_usage({"train", "--optimizer", "lion"},
               "--optimizer must be sgd, adam, adamw or lamb, got 'lion'");
  expect_usage({"train", "--precision", "fp8"},
               "precision must be fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated "
               "(tf32, bf16, fp16, e4m3, e5m2 or fp8) or O0 to O3, got 'fp8'");
  expect_usage({"train", "--device", "tpu"}, "--device must be cpu or cuda, got 'tpu'");
  expect_usage(
      {"train", "--device", "cuda"},
      "--device cuda: this program was built for the CPU alone (the CMake preset `cuda` links "
      "LibTorch's CUDA part); use --device cpu");
  expect_usage({"train", "--cpu-fp32-engine", "mkl"},
               "--cpu-fp32-engine must be stock or fastest, got 'mkl'");
}

TEST_F(CommandLine, ListsOfPrecisionsMustBeWhole) {
  expect_usage({"compare", "--precisions", "fp32,,bf16"},
               "--precisions: empty item in 'fp32,,bf16'");
  expect_usage({"compare", "--precisions", "fp32,"}, "--precisions: empty item in 'fp32,'");
  expect_usage({"compare", "--precisions", ""}, "--precisions: empty item in ''");
  expect_usage({"compare", "--precisions", "fp32,fp32"},
               "--precisions: 'fp32' is given twice in 'fp32,fp32'");
  expect_usage({"compare", "--precisions", "fp32,half"},
               "precision must be fp32, bf16, fp16, fp16-unscaled, fp16-scale-N, FORMAT-emulated "
               "(tf32, bf16, fp16, e4m3, e5m2 or fp8) or O0 to O3, got 'half'");
}

TEST_F(CommandLine, NumbersMustKeepTheirRules) {
  expect_usage({"train", "--lr", "nan"}, "--lr must be finite and positive, got nan");
  expect_usage({"train", "--lr", "-0.1"}, "--lr must be finite and positive, got -0.1");
  expect_usage({"train", "--lr", "1e999"}, "--lr must be finite and positive, got inf");
  expect_usage({"train", "--batch-size", "0"}, "--batch-size must be >= 1, got 0");
  expect_usage({"train", "--epochs", "-1"}, "--epochs must be between 1 and 1e6, got -1");
  expect_usage({"train", "--seed", "99999999999999999999"},
               "--seed must be between 0 and 1e15, got 9223372036854775807");
  expect_usage({"compare", "--seeds", "0"}, "--seeds must be between 1 and 100, got 0");
  expect_usage({"compare", "--seeds", "101"}, "--seeds must be between 1 and 100, got 101");
}

TEST_F(CommandLine, LossScalesMustBePositiveNumbers) {
  const std::string rule = ": the loss scale must be a finite positive number of fp32, got ";
  for (const std::string scale : {"-1", "0", "nan", "inf", "1e60", "auto"}) {
    expect_usage({"train", "--precision", "fp16", "--loss-scale", scale},
                 "--loss-scale" + rule + "'" + scale + "'");
  }
  expect_usage({"train", "--precision", "fp16-scale--8"}, "fp16-scale--8" + rule + "'-8'");
}

TEST_F(CommandLine, LossScalesMustHaveAPrecisionToApplyTo) {
  expect_usage({"compare", "--precisions", "fp32,bf16", "--loss-scale", "8"},
               "--loss-scale applies to fp16, which --precisions 'fp32,bf16' does not name");
  expect_usage({"train", "--precision", "fp16-unscaled", "--loss-scale", "8"},
               "--loss-scale cannot be combined with precision fp16-unscaled, whose name already "
               "says how the loss is scaled; use --precision fp16");
}

TEST_F(CommandLine, ARefusalLeavesNothingBehind) {
  run({"train", "--model", "vgg", "--output", "results"});
  run({"compare", "--precisions", "fp8", "--output", "results"});
  run(small("train", "results", {"--batch-size", "65"}));
  EXPECT_FALSE(std::filesystem::exists(path("results")));
  EXPECT_FALSE(std::filesystem::exists(path("runs")));
}

}  // namespace
}  // namespace ampersand::tests::command_line_test
