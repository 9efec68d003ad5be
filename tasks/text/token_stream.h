// A long text as tokens, read at any place, in memory or mapped from files larger than memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "app/files/mapped_file.h"
#include "tasks/text/vocabulary.h"

namespace ampersand {

// Where a stream's tokens lie.
class TokenStorage {
 public:
  virtual ~TokenStorage() = default;
  // begin + to.size() <= size; called by several threads at once.
  virtual void read(std::int64_t begin, std::span<std::int64_t> to) const = 0;
};

// A handle: copies share the storage. Read by any number of threads.
class TokenStream {
 public:
  TokenStream() = default;  // of no tokens

  // One token a byte. The pieces follow each other; what they lie in stays alive with `owner`.
  static TokenStream of_bytes(std::vector<std::string_view> pieces,
                              std::shared_ptr<const void> owner);

  // The first `limit` tokens (0: all) of the pieces, encoded once into an unlinked temporary file
  // (two bytes a token where the vocabulary has at most 65,536, else four), which is mapped. No
  // word reaches across two pieces. Throws amp::IoError where the file cannot be written.
  static TokenStream of_words(std::span<const std::string_view> pieces,
                              const Vocabulary& vocabulary, std::int64_t limit = 0);

  std::int64_t size() const { return size_; }  // in tokens
  bool empty() const { return size_ == 0; }

  // How many bytes of text the tokens stand for: of all, or of `count` from `begin`.
  std::int64_t bytes() const { return bytes_; }
  std::int64_t bytes(std::int64_t begin, std::int64_t count) const;

  // The to.size() tokens from `begin`. Throws amp::InvalidArgument where they are not in the
  // stream.
  void read(std::int64_t begin, std::span<std::int64_t> to) const;

  // The first `tokens`; all where the stream has no more.
  TokenStream first(std::int64_t tokens) const;

 private:
  void check_range(std::int64_t begin, std::int64_t count) const;

  std::shared_ptr<const TokenStorage> storage_;
  std::shared_ptr<const std::vector<std::uint32_t>> lengths_;  // of each token; none: 1 byte each
  std::int64_t size_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace ampersand
