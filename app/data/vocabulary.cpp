// Encoding and decoding by bytes and by byte pairs.
#include "app/data/vocabulary.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "amp/error.h"
#include "app/data/bpe_training.h"
#include "app/data/token_pairs.h"
#include "app/data/words.h"
#include "src/files/hash.h"

namespace ampersand {
namespace {

constexpr std::size_t kBlock = 1 << 14;             // tokens handed to a sink at a time
constexpr std::size_t kMostCachedTokens = 1 << 22;  // 16 MiB, and the words they came from

// Gathers tokens until there is a block of them.
class Blocks {
 public:
  explicit Blocks(const TokenSink& sink) : sink_(sink) { block_.reserve(kBlock + kLongestWord); }

  bool add(std::span<const std::int32_t> tokens) {
    block_.insert(block_.end(), tokens.begin(), tokens.end());
    return block_.size() < kBlock || flush();
  }

  bool flush() {
    const bool more = block_.empty() || sink_(block_);
    block_.clear();
    return more;
  }

 private:
  const TokenSink& sink_;
  std::vector<std::int32_t> block_;
};

// The encodings of the words met so far: most words of a text have been met before.
class WordCache {
 public:
  template <class Encode>
  std::span<const std::int32_t> get(std::string_view word, const Encode& encode) {
    if (tokens_.size() > kMostCachedTokens) {
      places_.clear();
      tokens_.clear();
    }
    const auto [found, is_new] = places_.try_emplace(word);
    if (is_new) {
      const std::vector<std::int32_t> encoded = encode(word);
      found->second = {tokens_.size(), encoded.size()};
      tokens_.insert(tokens_.end(), encoded.begin(), encoded.end());
    }
    return std::span(tokens_).subspan(found->second.begin, found->second.count);
  }

 private:
  struct Place {
    std::size_t begin = 0, count = 0;
  };
  std::unordered_map<std::string_view, Place> places_;  // the keys lie in the text itself
  std::vector<std::int32_t> tokens_;
};

void encode_bytes(std::string_view text, Blocks& blocks) {
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kBlock))) {
    if (!blocks.add(byte_tokens(text.substr(0, kBlock)))) return;
  }
  blocks.flush();
}

template <class Tokens>
std::string decode_all(const Vocabulary& vocabulary, const Tokens& tokens) {
  std::string text;
  for (const auto token : tokens) text += vocabulary.bytes_of(token);
  return text;
}

void check_merge(const TokenPair& merge, std::int32_t known) {
  const auto is_known = [&](std::int32_t token) { return token >= 0 && token < known; };
  if (is_known(merge.first) && is_known(merge.second)) return;
  throw amp::InvalidArgument("Vocabulary: merge " + std::to_string(known - kByteTokens) +
                             " must join tokens 0 to " + std::to_string(known - 1) + ", got " +
                             std::to_string(merge.first) + " and " + std::to_string(merge.second));
}

}  // namespace

Vocabulary::Vocabulary(Kind kind, std::vector<TokenPair> merges)
    : kind_(kind), merges_(std::move(merges)) {
  for (int byte = 0; byte < kByteTokens; ++byte) bytes_.emplace_back(1, static_cast<char>(byte));
  for (const auto& merge : merges_) {
    const auto merged = static_cast<std::int32_t>(bytes_.size());
    check_merge(merge, merged);
    const auto& [left, right] = merge;
    if (!merged_.emplace(pair_key(left, right), merged).second) {
      throw amp::InvalidArgument("Vocabulary: merge " + std::to_string(merged - kByteTokens) +
                                 " of tokens " + std::to_string(left) + " and " +
                                 std::to_string(right) + " is there already");
    }
    if (bytes_[left].size() + bytes_[right].size() > kLongestWord) {
      throw amp::InvalidArgument("Vocabulary: a token must be at most " +
                                 std::to_string(kLongestWord) + " bytes long, got " +
                                 std::to_string(bytes_[left].size() + bytes_[right].size()));
    }
    bytes_.push_back(bytes_[left] + bytes_[right]);
  }
}

Vocabulary Vocabulary::bytes() { return {Kind::bytes, {}}; }

Vocabulary Vocabulary::from_merges(std::vector<TokenPair> merges) {
  if (static_cast<std::int64_t>(merges.size()) > kMostTokens - kByteTokens) {
    throw amp::InvalidArgument("Vocabulary: there must be at most " + std::to_string(kMostTokens) +
                               " tokens, got " + std::to_string(merges.size()) + " merges");
  }
  return {Kind::bpe, std::move(merges)};
}

Vocabulary Vocabulary::train(std::span<const std::string_view> texts, std::int64_t size) {
  if (size <= kByteTokens || size > kMostTokens) {
    throw amp::InvalidArgument("Vocabulary: the size of a byte-pair vocabulary must be " +
                               std::to_string(kByteTokens + 1) + " to " +
                               std::to_string(kMostTokens) + ", got " + std::to_string(size));
  }
  if (std::ranges::all_of(texts, [](std::string_view text) { return text.empty(); })) {
    throw amp::InvalidArgument("Vocabulary: there is no text to learn byte pairs from; give some");
  }
  return {Kind::bpe, learn_merges(texts, size - kByteTokens)};
}

Vocabulary Vocabulary::train(std::string_view text, std::int64_t size) {
  return train(std::span(&text, 1), size);
}

const std::string& Vocabulary::bytes_of(std::int64_t token) const {
  if (token < 0 || token >= size()) {
    throw amp::InvalidArgument("Vocabulary: a token must be 0 to " + std::to_string(size() - 1) +
                               ", got " + std::to_string(token) +
                               "; use the vocabulary that the tokens were made with");
  }
  return bytes_[static_cast<std::size_t>(token)];
}

std::vector<std::int32_t> Vocabulary::encode_word(std::string_view word) const {
  std::vector<std::int32_t> tokens = byte_tokens(word);
  while (true) {
    std::int32_t first = std::numeric_limits<std::int32_t>::max();  // in the order of learning
    std::uint64_t pair = 0;
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      const auto found = merged_.find(pair_key(tokens[i - 1], tokens[i]));
      if (found == merged_.end() || found->second >= first) continue;
      pair = found->first;
      first = found->second;
    }
    if (first == std::numeric_limits<std::int32_t>::max()) return tokens;
    // Everywhere at once: no earlier merge applies to what this one makes.
    merge_pair(tokens, pair, first);
  }
}

void Vocabulary::encode(std::string_view text, const TokenSink& sink) const {
  Blocks blocks(sink);
  if (kind_ == Kind::bytes) return encode_bytes(text, blocks);
  WordCache cache;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, first_word(text));
    const auto tokens = cache.get(word, [&](std::string_view it) { return encode_word(it); });
    if (!blocks.add(tokens)) return;
    text.remove_prefix(word.size());
  }
  blocks.flush();
}

std::vector<std::int32_t> Vocabulary::encode(std::string_view text) const {
  std::vector<std::int32_t> all;
  encode(text, [&](std::span<const std::int32_t> tokens) {
    all.insert(all.end(), tokens.begin(), tokens.end());
    return true;
  });
  return all;
}

std::string Vocabulary::decode(std::span<const std::int32_t> tokens) const {
  return decode_all(*this, tokens);
}

std::string Vocabulary::decode(std::span<const std::int64_t> tokens) const {
  return decode_all(*this, tokens);
}

}  // namespace ampersand
