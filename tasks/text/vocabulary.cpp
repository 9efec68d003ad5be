// Encoding and decoding by bytes and by byte pairs.
#include "tasks/text/vocabulary.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "amp/error.h"
#include "tasks/text/bpe_training.h"
#include "tasks/text/gpt2_tokens.h"
#include "tasks/text/gpt2_words.h"
#include "tasks/text/token_pairs.h"
#include "tasks/text/words.h"

namespace ampersand {
namespace {

constexpr std::size_t kTokensAtATime = 1 << 14;     // tokens handed to a sink at a time
constexpr std::size_t kMostCachedTokens = 1 << 22;  // 16 MiB, and the words they came from
constexpr std::size_t kLongestCachedWord = 256;     // longer ones are hardly met twice

// Gathers tokens until there is a block of them.
class Blocks {
 public:
  explicit Blocks(const TokenSink& sink) : sink_(sink) {
    block_.reserve(kTokensAtATime + kLongestWord);
  }

  bool add(std::span<const std::int32_t> tokens) {
    block_.insert(block_.end(), tokens.begin(), tokens.end());
    return block_.size() < kTokensAtATime || flush();
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
    if (word.size() > kLongestCachedWord) return long_word_ = encode(word);
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
  std::vector<std::int32_t> long_word_;
};

void encode_bytes(std::string_view text, Blocks& blocks) {
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kTokensAtATime))) {
    if (!blocks.add(byte_tokens(text.substr(0, kTokensAtATime)))) return;
  }
  blocks.flush();
}

template <class Tokens>
std::string decode_all(const Vocabulary& vocabulary, const Tokens& tokens) {
  std::string text;
  for (const auto token : tokens) text += vocabulary.bytes_of(token);
  return text;
}

// Where the first special token of a text is; the text's end if it holds none.
struct Place {
  std::size_t begin = 0, length = 0;
  std::optional<std::int32_t> token = {};
};

Place next_special(std::string_view text, std::span<const Gpt2Tokens::Special> special) {
  if (special.empty()) return {text.size(), 0, {}};
  std::string firsts;
  for (const auto& it : special)
    if (firsts.find(it.text[0]) == firsts.npos) firsts += it.text[0];
  for (auto at = text.find_first_of(firsts); at != text.npos;
       at = text.find_first_of(firsts, at + 1)) {
    Place place{at, 0, {}};
    for (const auto& it : special) {
      if (it.text.size() > place.length && text.substr(at).starts_with(it.text))
        place = {at, it.text.size(), it.token};
    }
    if (place.token) return place;
  }
  return {text.size(), 0, {}};
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
    const auto rank = merged - kByteTokens;
    if (!merged_.emplace(pair_key(left, right), Merge{rank, merged}).second) {
      throw amp::InvalidArgument("Vocabulary: merge " + std::to_string(merged - kByteTokens) +
                                 " of tokens " + std::to_string(left) + " and " +
                                 std::to_string(right) + " is there already");
    }
    auto joined = bytes_[static_cast<std::size_t>(left)] + bytes_[static_cast<std::size_t>(right)];
    if (joined.size() > kLongestWord) {
      throw amp::InvalidArgument("Vocabulary: a token must be at most " +
                                 std::to_string(kLongestWord) + " bytes long, got " +
                                 std::to_string(joined.size()));
    }
    bytes_.push_back(std::move(joined));
  }
}

Vocabulary::Vocabulary(Gpt2Tokens tokens) : kind_(Kind::gpt2), gpt2_(std::move(tokens)) {
  bytes_ = texts_of(gpt2_);
  for (const auto& [left, right, token] : gpt2_.merges) {
    const Merge merge{static_cast<std::int32_t>(merged_.size()), token};
    if (merged_.emplace(pair_key(left, right), merge).second) continue;
    throw amp::InvalidArgument("Vocabulary: merge " + std::to_string(merge.rank) + " of tokens " +
                               std::to_string(left) + " and " + std::to_string(right) +
                               " is there already");
  }
}

Vocabulary Vocabulary::from_gpt2(Gpt2Tokens tokens) { return Vocabulary(std::move(tokens)); }

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

std::size_t Vocabulary::first_word(std::string_view text) const {
  return kind_ == Kind::gpt2 ? first_gpt2_word(text) : ampersand::first_word(text);
}

std::vector<std::int32_t> Vocabulary::encode_word(std::string_view word) const {
  auto tokens = byte_tokens(word);
  if (kind_ == Kind::gpt2)
    for (auto& token : tokens) token = gpt2_.bytes[static_cast<std::size_t>(token)];
  merge_in_order(tokens, merged_);
  return tokens;
}

void Vocabulary::encode(std::string_view text, const TokenSink& sink) const {
  Blocks blocks(sink);
  if (kind_ == Kind::bytes) return encode_bytes(text, blocks);
  WordCache cache;
  while (!text.empty()) {
    const auto special = next_special(text, gpt2_.special);
    auto plain = text.substr(0, special.begin);
    while (!plain.empty()) {
      const std::string_view word = plain.substr(0, first_word(plain));
      const auto tokens = cache.get(word, [&](std::string_view it) { return encode_word(it); });
      if (!blocks.add(tokens)) return;
      plain.remove_prefix(word.size());
    }
    if (special.token && !blocks.add(std::span(&*special.token, 1))) return;
    text.remove_prefix(special.begin + special.length);
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
