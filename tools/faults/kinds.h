// How a kind of fault is drawn.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tools/faults/case.h"
#include "tools/faults/net.h"

namespace amp::faults {

class Dice {
 public:
  explicit Dice(std::mt19937_64& random) : random_(random) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool flip() { return between(0, 1) == 1; }
  // Between low and high, evenly on the scale of the logarithm.
  double scale(double low, double high) {
    return low * std::pow(high / low, static_cast<double>(between(0, 1'000'000)) / 1e6);
  }
  template <typename Value>
  Value one_of(const std::vector<Value>& values) {
    return values[static_cast<std::size_t>(
        between(0, static_cast<std::int64_t>(values.size()) - 1))];
  }

 private:
  std::mt19937_64& random_;
};

// A training that is being drawn.
struct Draft {
  Case training;
  Blueprint net;
  std::int64_t start = 0;   // the index of the first micro-batch that has the fault
  std::int64_t sample = 0;  // and its bad sample

  Truth& truth() { return training.truth; }
  // In block `at`: "block1.attend", "block1" for no name.
  std::string place(const std::string& part = {}) const;
  // The fault comes at `start`, in the bad sample.
  void comes_with_sample();
  void comes_at(std::int64_t first, std::int64_t last);  // indices from 0
};

using Names = std::vector<std::string>;

// Anything may be drawn that is not given: size, seed, optimizer, block, start and sample.
Draft draft(Dice& dice, const Names& families, const Names& precisions);
// Its verdict, ops and whether fp32 goes wrong, too.
void blame(Draft& draft, const Names& verdicts, const Names& ops, std::optional<bool> fp32_too);
Recipe recipe_of(const std::string& precision);

struct Kind {
  std::string name;
  Draft (*draw)(Dice& dice, bool clean);
};

std::vector<Kind> kinds_of_masks();
std::vector<Kind> kinds_of_overflows();
std::vector<Kind> kinds_of_constants();
std::vector<Kind> kinds_of_normalisation();
std::vector<Kind> kinds_of_sums();
std::vector<Kind> kinds_of_positions();
std::vector<Kind> kinds_of_losses();
std::vector<Kind> kinds_of_derivatives();
std::vector<Kind> kinds_of_weights();
std::vector<Kind> kinds_of_learning();
std::vector<Kind> kinds_of_data();

}  // namespace amp::faults
