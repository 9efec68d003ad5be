// Token streams: bytes widened as they are read, and encoded words from a temporary file.
#include "tasks/text/token_stream.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include "amp/error.h"

namespace ampersand {
namespace {

constexpr std::int64_t kMostShortTokens = 1 << 16;

// Bytes in pieces, as they lie in their owner.
class ByteStorage final : public TokenStorage {
 public:
  ByteStorage(std::vector<std::string_view> pieces, std::shared_ptr<const void> owner)
      : pieces_(std::move(pieces)), owner_(std::move(owner)) {
    std::int64_t end = 0;
    for (const auto piece : pieces_) {
      end += static_cast<std::int64_t>(piece.size());
      ends_.push_back(end);
    }
  }

  std::int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }

  void read(std::int64_t begin, std::span<std::int64_t> to) const override {
    auto k = static_cast<std::size_t>(std::ranges::upper_bound(ends_, begin) - ends_.begin());
    auto from = static_cast<std::size_t>(begin - (k == 0 ? 0 : ends_[k - 1]));
    for (; !to.empty(); ++k, from = 0) {
      const auto part = pieces_[k].substr(from, to.size());
      std::ranges::transform(part, to.begin(),
                             [](char c) { return static_cast<unsigned char>(c); });
      to = to.subspan(part.size());
    }
  }

 private:
  std::vector<std::string_view> pieces_;
  std::shared_ptr<const void> owner_;
  std::vector<std::int64_t> ends_;  // of each piece in the stream
};

// Tokens of a fixed width in a mapped file.
template <class Code>
class CodeStorage final : public TokenStorage {
 public:
  explicit CodeStorage(MappedFile file) : file_(std::move(file)) {}

  void read(std::int64_t begin, std::span<std::int64_t> to) const override {
    const char* from = file_.bytes().data() + static_cast<std::size_t>(begin) * sizeof(Code);
    for (auto& token : to) {
      Code code;
      std::memcpy(&code, from, sizeof code);
      from += sizeof code;
      token = code;
    }
  }

 private:
  MappedFile file_;
};

// Encodes the pieces, and says how many tokens came of them.
template <class Code>
std::pair<std::shared_ptr<const TokenStorage>, std::int64_t> encode_into_file(
    std::span<const std::string_view> pieces, const Vocabulary& vocabulary, std::int64_t limit) {
  TemporaryFile file;
  std::int64_t written = 0;
  const auto sink = [&](std::span<const std::int32_t> tokens) {
    if (limit > 0) {
      const auto room = static_cast<std::size_t>(limit - written);
      tokens = tokens.first(std::min(tokens.size(), room));
    }
    std::vector<Code> codes(tokens.begin(), tokens.end());
    file.write(codes.data(), codes.size() * sizeof(Code));
    written += static_cast<std::int64_t>(codes.size());
    return limit == 0 || written < limit;
  };
  for (const auto piece : pieces) {
    if (limit == 0 || written < limit) vocabulary.encode(piece, sink);
  }
  return {std::make_shared<CodeStorage<Code>>(file.map()), written};
}

std::shared_ptr<const std::vector<std::uint32_t>> lengths_of_tokens(const Vocabulary& vocabulary) {
  auto lengths = std::make_shared<std::vector<std::uint32_t>>();
  for (std::int64_t token = 0; token < vocabulary.size(); ++token) {
    lengths->push_back(static_cast<std::uint32_t>(vocabulary.bytes_of(token).size()));
  }
  return lengths;
}

}  // namespace

TokenStream TokenStream::of_bytes(std::vector<std::string_view> pieces,
                                  std::shared_ptr<const void> owner) {
  auto storage = std::make_shared<ByteStorage>(std::move(pieces), std::move(owner));
  TokenStream stream;
  stream.size_ = stream.bytes_ = storage->size();
  stream.storage_ = std::move(storage);
  return stream;
}

TokenStream TokenStream::of_words(std::span<const std::string_view> pieces,
                                  const Vocabulary& vocabulary, std::int64_t limit) {
  TokenStream stream;
  const bool are_short = vocabulary.size() <= kMostShortTokens;
  std::tie(stream.storage_, stream.size_) =
      are_short ? encode_into_file<std::uint16_t>(pieces, vocabulary, limit)
                : encode_into_file<std::uint32_t>(pieces, vocabulary, limit);
  stream.lengths_ = lengths_of_tokens(vocabulary);
  stream.bytes_ = stream.bytes(0, stream.size_);
  return stream;
}

void TokenStream::check_range(std::int64_t begin, std::int64_t count) const {
  if (begin >= 0 && count >= 0 && begin <= size_ && count <= size_ - begin) return;
  throw amp::InvalidArgument("TokenStream: what is read must lie in its " + std::to_string(size_) +
                             " tokens, got " + std::to_string(count) + " from " +
                             std::to_string(begin));
}

std::int64_t TokenStream::bytes(std::int64_t begin, std::int64_t count) const {
  check_range(begin, count);
  if (!lengths_) return count;
  std::int64_t total = 0;
  std::array<std::int64_t, 4096> block;
  while (count > 0) {
    const auto part = std::span(block).first(
        static_cast<std::size_t>(std::min<std::int64_t>(count, std::ssize(block))));
    storage_->read(begin, part);
    for (const std::int64_t token : part) total += (*lengths_)[static_cast<std::size_t>(token)];
    begin += std::ssize(part);
    count -= std::ssize(part);
  }
  return total;
}

void TokenStream::read(std::int64_t begin, std::span<std::int64_t> to) const {
  check_range(begin, std::ssize(to));
  if (!to.empty()) storage_->read(begin, to);
}

TokenStream TokenStream::first(std::int64_t tokens) const {
  if (tokens < 0) {
    throw amp::InvalidArgument("TokenStream: the first tokens must be at least 0 of them, got " +
                               std::to_string(tokens));
  }
  if (tokens >= size_) return *this;
  TokenStream shorter = *this;
  shorter.size_ = tokens;
  shorter.bytes_ = shorter.bytes(0, tokens);
  return shorter;
}

}  // namespace ampersand
