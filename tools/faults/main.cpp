// fault_table: how often the diagnosis of drawn trainings is right.
//   fault_table [--seed S] [--faults N] [--clean N] [--kind K] [--held-out] [--list] [--remedies]
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "amp/error.h"
#include "tools/faults/examine.h"

namespace {

using namespace amp;
using faults::Examination, faults::Truth;

struct Options {
  std::uint64_t seed = 1;
  long faults = 200, clean = 50;
  std::vector<std::string> kinds = faults::kinds();
  bool held_out = false, list = false, remedies = false;
};

// How many were right of those that could be judged.
struct Rate {
  int right = 0, judged = 0;
  void count(bool good) {
    ++judged;
    right += good ? 1 : 0;
  }
  std::string text() const {
    return judged == 0 ? "-" : std::to_string(right) + "/" + std::to_string(judged);
  }
};

struct Score {
  Rate cause, op, module, step, fp32_too, sample;
};

bool is_among(const std::string& found, const std::vector<std::string>& right) {
  return std::ranges::find(right, found) != right.end();
}

// A cause that is wrong makes all else wrong. Returns whether all was right.
bool judge(const Truth& truth, const Examination& found, Score& score) {
  const auto& diagnosis = found.diagnosis;
  const bool cause = is_among(verdict_name(diagnosis.verdict), truth.verdicts);
  bool all = cause;
  const auto count = [&](Rate& rate, bool good) {
    rate.count(cause && good);
    all &= good;
  };
  score.cause.count(cause);
  if (!truth.ops.empty()) count(score.op, is_among(diagnosis.op, truth.ops));
  if (!truth.modules.empty()) count(score.module, is_among(diagnosis.module, truth.modules));
  if (truth.first_step >= 0)
    count(score.step, diagnosis.step >= truth.first_step && diagnosis.step <= truth.last_step);
  if (truth.fp32_too.has_value()) count(score.fp32_too, found.fp32_too == truth.fp32_too);
  if (truth.sample.has_value()) count(score.sample, found.sample == truth.sample);
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : "|") + word;
  return text.empty() ? "-" : text;
}

void show(const char* what, const faults::Case& training, const Examination& found) {
  const auto& truth = training.truth;
  std::printf(
      "%s: %s in %s, seed %llu: %s, op %s, module %s, step %ld to %ld, fp32 %s, sample %ld\n", what,
      truth.kind.c_str(), training.precision.c_str(),
      static_cast<unsigned long long>(training.seed), joined(truth.verdicts).c_str(),
      joined(truth.ops).c_str(), joined(truth.modules).c_str(), static_cast<long>(truth.first_step),
      static_cast<long>(truth.last_step),
      !truth.fp32_too   ? "-"
      : *truth.fp32_too ? "too"
                        : "not",
      static_cast<long>(truth.sample.value_or(-1)));
  const auto& diagnosis = found.diagnosis;
  std::printf("  found: %s, op %s, module %s, step %ld, fp32 %s, sample %ld: %s\n",
              verdict_name(diagnosis.verdict), diagnosis.op.c_str(), diagnosis.module.c_str(),
              static_cast<long>(diagnosis.step),
              !found.fp32_too   ? "-"
              : *found.fp32_too ? "too"
                                : "not",
              static_cast<long>(found.sample.value_or(-1)), diagnosis.sentence.c_str());
  for (const auto& trial : found.trials) std::printf("    %s\n", trial.c_str());
  std::printf("    %ld replays\n", static_cast<long>(found.replays));
}

void print_row(const std::string& name, const Score& score) {
  std::printf("| %s | %d | %s | %s | %s | %s | %s | %s |\n", name.c_str(), score.cause.judged,
              score.cause.text().c_str(), score.op.text().c_str(), score.module.text().c_str(),
              score.step.text().c_str(), score.fp32_too.text().c_str(),
              score.sample.text().c_str());
}

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) throw InvalidArgument("fault_table: " + name + " needs a value");
      return argv[++i];
    };
    if (name == "--held-out")
      options.held_out = true;
    else if (name == "--list")
      options.list = true;
    else if (name == "--remedies")
      options.remedies = true;
    else if (name == "--seed")
      options.seed = std::stoull(value());
    else if (name == "--faults")
      options.faults = std::stol(value());
    else if (name == "--clean")
      options.clean = std::stol(value());
    else if (name == "--kind")
      options.kinds = {value()};
    else
      throw InvalidArgument("fault_table: there is no option " + name);
  }
  return options;
}

// The seeds of the two streams never meet: the top bit tells them apart.
faults::Case drawn(const Options& options, bool clean, long i) {
  const auto stream = (options.held_out ? 1ULL << 63 : 0ULL) | (clean ? 1ULL << 62 : 0ULL);
  std::mt19937_64 random(stream | (options.seed << 32) | static_cast<std::uint64_t>(i));
  const auto& kind = options.kinds[static_cast<std::size_t>(i) % options.kinds.size()];
  return faults::draw(kind, clean, random);
}

int run(const Options& options) {
  std::map<std::string, Score> scores;
  std::map<std::string, Rate> remedies;
  Score all;
  const auto count_remedies = [&](const Examination& found) {
    for (const auto& [remedy, helped] : found.remedies_followed) remedies[remedy].count(helped);
  };
  for (long i = 0; i < options.faults; ++i) {
    const auto training = drawn(options, false, i);
    const auto found = faults::examine(training, options.remedies);
    judge(training.truth, found, scores[training.truth.kind]);
    if (!judge(training.truth, found, all) && options.list) show("missed", training, found);
    count_remedies(found);
  }
  int alarms = 0;
  for (long i = 0; i < options.clean; ++i) {
    const auto training = drawn(options, true, i);
    const auto found = faults::examine(training);
    if (found.diagnosis.verdict == Verdict::clean) continue;
    ++alarms;
    if (options.list) show("false alarm", training, found);
  }
  std::printf(
      "| kind | cases | cause | op | module | step | fp32, too | sample |\n"
      "|---|---|---|---|---|---|---|---|\n");
  for (const auto& [kind, score] : scores) print_row(kind, score);
  print_row("all", all);
  if (options.remedies)
    for (const auto& [remedy, rate] : remedies)
      std::printf("%s: helped %s\n", remedy.c_str(), rate.text().c_str());
  std::printf("\nSeed %llu%s. False alarms in %ld clean trainings: %d.\n",
              static_cast<unsigned long long>(options.seed), options.held_out ? ", held out" : "",
              options.clean, alarms);
  return all.cause.right == all.cause.judged && alarms == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(options_of(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
