// Learning byte pairs: words are counted once, then pairs are merged while their counts are kept.
#include "tasks/text/bpe_training.h"

#include <cstddef>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tasks/text/token_pairs.h"
#include "tasks/text/words.h"

namespace ampersand {
namespace {

struct Word {
  std::vector<std::int32_t> tokens;
  std::int64_t count;
};

std::vector<Word> count_words(std::span<const std::string_view> texts) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  for (std::string_view text : texts) {
    while (!text.empty()) {
      const std::size_t length = first_word(text);
      if (length > 1) ++counts[text.substr(0, length)];
      text.remove_prefix(length);
    }
  }
  std::vector<Word> words;
  words.reserve(counts.size());
  for (const auto& [word, count] : counts) words.push_back({byte_tokens(word), count});
  return words;
}

// A pair and how often it was there when it was put into the queue.
struct FrequentPair {
  std::int64_t count;
  std::uint64_t pair;

  // The queue's first: the most frequent, then the one of the lowest tokens.
  bool operator<(const FrequentPair& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Learner {
 public:
  explicit Learner(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      add_counts(words_[w], 1);
      for_each_pair(words_[w].tokens, [&](std::uint64_t pair) { note_place(pair, w); });
    }
    for (const auto& [pair, count] : counts_) queue_if_frequent(pair, count);
  }

  // The pair to merge next; none where no pair is there twice.
  std::optional<std::uint64_t> take_most_frequent() {
    while (!queue_.empty()) {
      const FrequentPair first = queue_.top();
      queue_.pop();
      const std::int64_t now = counts_[first.pair];
      if (now == first.count) return first.pair;
      queue_if_frequent(first.pair, now);  // other merges have taken some of it
    }
    return std::nullopt;
  }

  void merge(std::uint64_t pair, std::int32_t merged) {
    const std::vector<std::uint32_t> places = std::move(places_[pair]);
    std::unordered_set<std::uint64_t> born;  // no other pair grows
    for (const std::uint32_t w : places) {
      Word& word = words_[w];
      add_counts(word, -1);
      merge_pair(word.tokens, pair, merged);
      add_counts(word, 1);
      for_each_pair(word.tokens, [&](std::uint64_t now) {
        if (!has_token(now, merged)) return;
        note_place(now, w);
        born.insert(now);
      });
    }
    places_.erase(pair);
    counts_.erase(pair);
    for (const std::uint64_t now : born) queue_if_frequent(now, counts_[now]);
  }

 private:
  template <class Action>
  static void for_each_pair(const std::vector<std::int32_t>& tokens, const Action& action) {
    for (std::size_t i = 1; i < tokens.size(); ++i) action(pair_key(tokens[i - 1], tokens[i]));
  }

  void add_counts(const Word& word, int sign) {
    for_each_pair(word.tokens, [&](std::uint64_t pair) { counts_[pair] += sign * word.count; });
  }

  // Words come in order, so the last place noted is the only one that w can be already.
  void note_place(std::uint64_t pair, std::size_t w) {
    auto& places = places_[pair];
    if (places.empty() || places.back() != w) places.push_back(static_cast<std::uint32_t>(w));
  }

  void queue_if_frequent(std::uint64_t pair, std::int64_t count) {
    if (count >= 2) queue_.push({count, pair});
  }

  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> places_;  // words that had the pair
  std::priority_queue<FrequentPair> queue_;  // every pair once; counts may have shrunk since
};

}  // namespace

std::vector<TokenPair> learn_merges(std::span<const std::string_view> texts, std::int64_t count) {
  Learner learner(count_words(texts));
  std::vector<TokenPair> merges;
  while (static_cast<std::int64_t>(merges.size()) < count) {
    const auto pair = learner.take_most_frequent();
    if (!pair) break;
    learner.merge(*pair, kByteTokens + static_cast<std::int32_t>(merges.size()));
    merges.push_back(tokens_of(*pair));
  }
  return merges;
}

}  // namespace ampersand
