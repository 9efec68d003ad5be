// Byte-pair merging: what makes tokens of a word's bytes.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace ampersand {

// What two neighbouring tokens become; merges of a lower rank come first.
struct Merge {
  std::int32_t rank = 0, token = 0;
};

using Merges = std::unordered_map<std::uint64_t, Merge>;  // by pair_key (tasks/text/token_pairs.h)

// Merges pairs of `tokens` one by one, each time the pair of the lowest rank, of several the leftmost,
// until none of `merges` applies: n log n for n tokens.
void merge_in_order(std::vector<std::int32_t>& tokens, const Merges& merges);

}  // namespace ampersand
