// fault_table [SEED] [FAULTS] [CLEAN] [--list]: how often the diagnosis names the cause and the op.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tools/faults/faults.h"

namespace {

using namespace amp;

struct Score {
  int all = 0, cause = 0, op = 0, with_op = 0;
};

constexpr Verdict kCauses[] = {Verdict::forward_overflow, Verdict::scale_overflow,
                               Verdict::underflow,        Verdict::model_nan,
                               Verdict::bad_data,         Verdict::divergence};

// A C++ linear layer calls addmm or matmul, as its input is.
bool is_op(const std::string& found, const std::string& truth) {
  return found == truth || (truth == "linear" && (found == "addmm" || found == "matmul"));
}

bool names_op(const faults::Fault& fault, const Diagnosis& found) {
  return is_op(found.op, fault.op) && found.module == fault.module && found.pass == fault.pass;
}

void show(const char* what, const faults::Fault& fault, const Diagnosis& found) {
  std::printf("%s: %s, %s, %s scale %g, block %ld of %ld, trouble %d at step %ld, %s %s: %s\n",
              what, name_of(fault.cause), fault.family.c_str(), fault.precision.c_str(),
              fault.recipe.static_scale, static_cast<long>(fault.at),
              static_cast<long>(fault.blocks), static_cast<int>(fault.trouble),
              static_cast<long>(fault.step), fault.module.c_str(), fault.op.c_str(),
              found.sentence.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, long otherwise) {
    return argc > i ? std::atol(argv[i]) : otherwise;
  };
  const bool list = argc > 4 && std::strcmp(argv[4], "--list") == 0;
  const auto seed = number(1, 1), faults = number(2, 200), clean = number(3, 50);
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  std::map<Verdict, Score> scores;
  Score all;
  for (long i = 0; i < faults; ++i) {
    const auto fault = faults::draw(kCauses[random() % std::size(kCauses)], random);
    const auto found = faults::diagnose_training(fault);
    for (auto* score : {&scores[fault.cause], &all}) {
      ++score->all;
      const bool cause = found.verdict == fault.cause;
      const bool op = fault.op.empty() || names_op(fault, found);
      score->cause += cause ? 1 : 0;
      score->with_op += fault.op.empty() ? 0 : 1;
      score->op += cause && op ? 1 : 0;
      if (score == &all && list && !(cause && op)) show("missed", fault, found);
    }
  }
  int alarms = 0;
  for (long i = 0; i < clean; ++i) {
    const auto fault = faults::draw(Verdict::clean, random);
    const auto found = faults::diagnose_training(fault);
    if (found.verdict == Verdict::clean) continue;
    ++alarms;
    if (list) show("false alarm", fault, found);
  }
  std::printf(
      "| cause | faults | cause named | of them with one op that is right | cause and op named "
      "|\n|---|---|---|---|---|\n");
  for (const auto& [cause, score] : scores)
    std::printf("| `%s` | %d | %d | %d | %d |\n", name_of(cause), score.all, score.cause,
                score.with_op, score.op);
  std::printf("| all | %d | %d | %d | %d |\n", all.all, all.cause, all.with_op, all.op);
  std::printf("\nSeed %ld. False alarms in %ld clean runs: %d.\n", seed, clean, alarms);
  return 100 * all.op >= 95 * all.all && alarms == 0 ? 0 : 1;
}
