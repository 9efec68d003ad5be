// How good a trained model is, as numbers: what each is called, which way is better, and how two of them are
// compared. Needs no LibTorch.
#pragma once

#include <map>
#include <string>

namespace amp {

enum class MeasureKind {
  share,     // from 0 to 1, such as an accuracy: told in percent, and compared in points
  positive,  // above 0, such as a perplexity or an error: compared by its ratio
  number,    // any finite number, such as a score: compared as a share of fp32's
};

struct Measure {
  std::string key;   // what it is called in metrics.jsonl and results.json: "test_accuracy"
  std::string name;  // in words: "accuracy"
  MeasureKind kind = MeasureKind::share;
  bool higher_is_better = true;
  int decimals = 2;  // that a table shows; of a share, those of its percentage
};

inline Measure accuracy_measure() { return {"test_accuracy", "accuracy"}; }
inline Measure perplexity_measure() {
  return {"perplexity", "perplexity", MeasureKind::positive, false, 3};
}
inline Measure bits_per_byte_measure() {
  return {"bits_per_byte", "bits per byte", MeasureKind::positive, false, 4};
}

// What an evaluation has found.
struct Evaluation {
  double loss = 0;                              // mean over the test samples, or over their tokens
  std::map<std::string, double> measures = {};  // by Measure::key
};

}  // namespace amp
