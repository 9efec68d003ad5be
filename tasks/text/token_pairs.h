// Pairs of neighbouring tokens as keys, and their merging: what learning and encoding share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ampersand {

// Tokens 0 to 255 are the bytes.
inline constexpr std::int32_t kByteTokens = 256;

inline std::vector<std::int32_t> byte_tokens(std::string_view text) {
  std::vector<std::int32_t> tokens;
  tokens.reserve(text.size());
  for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  return tokens;
}

// In the order of the left, then of the right token.
inline std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

inline std::pair<std::int32_t, std::int32_t> tokens_of(std::uint64_t pair) {
  return {static_cast<std::int32_t>(pair >> 32), static_cast<std::int32_t>(pair & 0xffffffff)};
}

inline bool has_token(std::uint64_t pair, std::int32_t token) {
  const auto [left, right] = tokens_of(pair);
  return left == token || right == token;
}

// Puts `merged` in the place of every `pair`, from the left; in "aaa" the first two are one.
inline void merge_pair(std::vector<std::int32_t>& tokens, std::uint64_t pair, std::int32_t merged) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tokens.size(); ++kept) {
    const bool here = i + 1 < tokens.size() && pair_key(tokens[i], tokens[i + 1]) == pair;
    tokens[kept] = here ? merged : tokens[i];
    i += here ? 2 : 1;
  }
  tokens.resize(kept);
}

}  // namespace ampersand
