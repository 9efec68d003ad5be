// Vocabularies: text to token ids and back, by bytes or by byte pairs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tasks/text/merging.h"

namespace ampersand {

// Two neighbouring tokens, left and right.
using TokenPair = std::pair<std::int32_t, std::int32_t>;

// Takes the tokens of a text, some thousand at a time and in order; false: no more are wanted.
using TokenSink = std::function<bool(std::span<const std::int32_t>)>;

// What GPT-2's vocab.json and merges.txt say.
struct Gpt2Tokens {
  struct Joint {
    std::int32_t left = 0, right = 0, token = 0;  // left and right become token
  };
  struct Special {
    std::int32_t token = 0;
    std::string text;  // "<|endoftext|>"; not empty
  };
  std::array<std::int32_t, 256> bytes = {};  // the token of each byte
  std::vector<Joint> merges = {};            // the first comes first
  std::vector<Special> special = {};
};

// A vocabulary is lossless: each byte has a token, so every text has an encoding, and decoding it
// gives the same bytes back. Three kinds:
//   bytes  token = byte, size 256
//   bpe    byte-pair encoding: tokens 0 to 255 are the bytes, and token 256 + k stands for the k-th
//          merge, a pair of earlier tokens. The text is cut into words (tasks/text/words.h); in each,
//          the merge learned first that applies anywhere is applied first, at its leftmost place,
//          until none does.
//   gpt2   the same, but with words as GPT-2 cuts them (tasks/text/gpt2_words.h), with numbers of its
//          own for bytes and merges, and with special tokens: where a text holds one of their
//          texts, that is the token, of several the longest, before anything is cut into words.
// Values: copied freely, never changed, read by any number of threads.
//
// Source: Sennrich, Haddow and Birch 2016, "Neural machine translation of rare words with subword
// units", section 3.2, on bytes as in Radford et al. 2019 (GPT-2), section 2.2.
class Vocabulary {
 public:
  enum class Kind { bytes, bpe, gpt2 };

  static Vocabulary bytes();

  // A byte-pair vocabulary with the merges given: pair k may name tokens 0 to 255 + k.
  // Throws amp::InvalidArgument for one that names others, for a merge that is there twice, and for
  // more than kMostTokens tokens.
  static Vocabulary from_merges(std::vector<TokenPair> merges);

  // Throws amp::InvalidArgument for tokens that are not 0 to size - 1, for a merge that names others or
  // is there twice, and for one token with two meanings.
  static Vocabulary from_gpt2(Gpt2Tokens tokens);

  // Learns `size` - 256 merges from the texts: each time the pair that is most frequent within
  // words, of several the one with the lowest left, then right token. Fewer where the texts hold no
  // pair twice any more: size() says. The result depends on the words and their counts alone.
  //
  // Throws amp::InvalidArgument for a size below 257 or above kMostTokens, and for no text.
  static Vocabulary train(std::span<const std::string_view> texts, std::int64_t size);
  static Vocabulary train(std::string_view text, std::int64_t size);

  static constexpr std::int64_t kMostTokens = 1 << 20;

  Kind kind() const { return kind_; }
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }

  // Of kind bpe.
  const std::vector<TokenPair>& merges() const { return merges_; }
  // Of kind gpt2.
  const Gpt2Tokens& gpt2_tokens() const { return gpt2_; }

  // The bytes that a token stands for; those of a byte-pair vocabulary need not be whole
  // characters. Throws amp::InvalidArgument for a token that is not 0 to size() - 1.
  const std::string& bytes_of(std::int64_t token) const;

  // The tokens of any bytes, UTF-8 or not. The encoding of two texts one after the other may differ
  // from that of the whole only in the words where they meet.
  std::vector<std::int32_t> encode(std::string_view text) const;
  void encode(std::string_view text, const TokenSink& sink) const;

  // Throws amp::InvalidArgument as bytes_of does.
  std::string decode(std::span<const std::int32_t> tokens) const;
  std::string decode(std::span<const std::int64_t> tokens) const;

  // XXH3-128 of kind and merges (and bytes and special tokens), 32 hexadecimal digits: equal where the
  // tokens mean the same.
  std::string fingerprint() const;

  // A JSON file (version 1): kind, size, fingerprint and the merges, one a line as [left, right,
  // text]; of kind gpt2 as [left, right, text, token], with the tokens of the bytes and the special
  // ones. Written whole or not at all. Throws amp::IoError.
  void save(const std::filesystem::path& path) const;
  // Throws amp::IoError for a file that cannot be read, is no vocabulary or of a later version, and
  // for one whose content does not fit its fingerprint.
  static Vocabulary load(const std::filesystem::path& path);

 private:
  Vocabulary(Kind kind, std::vector<TokenPair> merges);
  explicit Vocabulary(Gpt2Tokens tokens);
  std::size_t first_word(std::string_view text) const;
  // The tokens of one word.
  std::vector<std::int32_t> encode_word(std::string_view word) const;

  Kind kind_;
  std::vector<TokenPair> merges_;
  Gpt2Tokens gpt2_;
  std::vector<std::string> bytes_;  // of each token
  Merges merged_;
};

// "bytes", "bpe-N" or "gpt2-N", as `--vocabulary` and results name a kind and its size.
std::string vocabulary_name(const Vocabulary& vocabulary);

// "bytes", "bpe" or "gpt2".
std::string kind_name(Vocabulary::Kind kind);

// Throws amp::InvalidArgument unless `vocabulary` has this fingerprint; `who` ("this checkpoint's
// model") was trained with another, of which nothing but the fingerprint is known.
void check_fingerprint(const Vocabulary& vocabulary, const std::string& fingerprint,
                       const std::string& who);

}  // namespace ampersand
