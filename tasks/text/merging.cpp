// Byte-pair merging by a queue of candidates over a linked list of tokens.
#include "tasks/text/merging.h"

#include <algorithm>
#include <cstddef>
#include <queue>
#include <tuple>

#include "tasks/text/token_pairs.h"

namespace ampersand {
namespace {

constexpr std::int32_t kGone = -1;  // the token was merged into the one before
constexpr std::size_t kFew = 24;    // tokens, up to which looking at all pairs anew is the faster

// A pair that could be merged when it was put into the queue.
struct Candidate {
  Merge merge;
  std::size_t place = 0;

  // The queue's first: the lowest rank, then the leftmost.
  bool operator<(const Candidate& other) const {
    return std::tie(merge.rank, place) > std::tie(other.merge.rank, other.place);
  }
};

class Merging {
 public:
  Merging(std::vector<std::int32_t>& tokens, const Merges& merges)
      : tokens_(tokens), merges_(merges), before_(tokens.size()), after_(tokens.size()) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      before_[i] = i - 1;  // of the first: beyond the end, as after_ of the last
      after_[i] = i + 1;
      if (i > 0) consider(i - 1);
    }
  }

  void run() {
    while (!queue_.empty()) {
      const auto [merge, place] = queue_.top();
      queue_.pop();
      const auto* now = merge_at(place);
      if (now != nullptr && now->rank == merge.rank) apply(*now, place);
    }
    std::erase(tokens_, kGone);
  }

 private:
  const Merge* merge_at(std::size_t place) const {
    if (tokens_[place] == kGone || after_[place] >= tokens_.size()) return nullptr;
    const auto found = merges_.find(pair_key(tokens_[place], tokens_[after_[place]]));
    return found == merges_.end() ? nullptr : &found->second;
  }

  void consider(std::size_t place) {
    if (const auto* merge = merge_at(place)) queue_.push({*merge, place});
  }

  void apply(const Merge& merge, std::size_t place) {
    const auto next = after_[place];
    tokens_[place] = merge.token;
    tokens_[next] = kGone;
    after_[place] = after_[next];
    if (after_[place] < tokens_.size()) before_[after_[place]] = place;
    if (before_[place] < tokens_.size()) consider(before_[place]);
    consider(place);
  }

  std::vector<std::int32_t>& tokens_;
  const Merges& merges_;
  std::vector<std::size_t> before_, after_;
  std::priority_queue<Candidate> queue_;
};

// False where no merge applies.
bool merge_first(std::vector<std::int32_t>& tokens, const Merges& merges) {
  const Merge* first = nullptr;
  std::size_t place = 0;
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    const auto found = merges.find(pair_key(tokens[i - 1], tokens[i]));
    if (found == merges.end() || (first != nullptr && found->second.rank >= first->rank)) continue;
    first = &found->second;
    place = i;
  }
  if (first == nullptr) return false;
  tokens[place - 1] = first->token;
  tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(place));
  return true;
}

}  // namespace

void merge_in_order(std::vector<std::int32_t>& tokens, const Merges& merges) {
  if (tokens.size() > kFew) return Merging(tokens, merges).run();
  while (merge_first(tokens, merges)) {
  }
}

}  // namespace ampersand
