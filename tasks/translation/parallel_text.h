// Pairs of texts for translation: from files, or numbers and their names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/text/vocabulary.h"

namespace ampersand {

// Encoded pairs, in memory.
class PairSet {
 public:
  std::int64_t size() const { return static_cast<std::int64_t>(ends_.size() / 2); }
  bool empty() const { return ends_.empty(); }

  // The tokens of pair i, 0 <= i < size(), without begin, end or padding; never empty.
  std::span<const std::int32_t> source(std::int64_t i) const { return text(2 * i); }
  std::span<const std::int32_t> target(std::int64_t i) const { return text(2 * i + 1); }

  // Of the longest source and target.
  std::int64_t longest_source() const { return longest_source_; }
  std::int64_t longest_target() const { return longest_target_; }
  // Of all targets, for losses per token and per byte.
  std::int64_t target_tokens() const { return target_tokens_; }
  std::int64_t target_bytes() const { return target_bytes_; }

  void add(std::string_view source, std::string_view target, const Vocabulary& vocabulary);

 private:
  std::span<const std::int32_t> text(std::int64_t k) const;

  std::vector<std::int32_t> tokens_;  // source and target of each pair, one after the other
  std::vector<std::size_t> ends_;     // where each ends
  std::int64_t longest_source_ = 0, longest_target_ = 0;
  std::int64_t target_tokens_ = 0, target_bytes_ = 0;
};

struct ParallelOptions {
  std::string vocabulary = "bytes";      // as TextOptions::vocabulary, learned from both sides
  std::optional<Vocabulary> given = {};  // to use instead
  double held_out = 0.1;                 // the share of the last pairs, 0 to 1
  std::int64_t limit_train = 0;          // the first pairs of each part; 0: all
  std::int64_t limit_test = 0;
};

// One vocabulary serves both sides. Three more tokens follow it.
struct ParallelText {
  std::string name;
  Vocabulary vocabulary;
  PairSet train;
  PairSet test;
  std::string train_hash = {},
              test_hash = {};  // XXH3-128 of each part's pairs, whatever the limits

  std::int64_t begin_token() const { return vocabulary.size(); }
  std::int64_t end_token() const { return vocabulary.size() + 1; }
  std::int64_t padding_token() const { return vocabulary.size() + 2; }
  std::int64_t tokens() const { return vocabulary.size() + 3; }  // what a model embeds
};

// Loads the pairs that `what` names:
//   numbers          built in: 50,000 different numbers in digits and their English names
//                    (tasks/translation/number_words.h), the same everywhere
//   NAME.src         a pair a line: the source here, the target on the same line of NAME.tgt;
//                    NAME.tgt names the same pair of files
//   any other FILE   a pair a line, "source<TAB>target"
// Lines end with LF or CRLF, the last need not. Files are read into memory.
//
// Throws amp::IoError for a file that is missing, cannot be read, is empty or is not UTF-8; for
// NAME.src and NAME.tgt of different numbers of lines (with both); for a line without its one tab,
// and for one with an empty side (with its number, from 1). Throws amp::InvalidArgument for options
// out of their range.
ParallelText load_parallel_text(const std::string& what, const ParallelOptions& options = {});

// Whether `what` names parallel text by its form: "numbers", or an ending .src, .tgt or .tsv.
bool names_parallel_text(const std::string& what);

}  // namespace ampersand
