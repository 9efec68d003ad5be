// Text for language models: cut in two, and turned into tokens.
#include "tasks/text/text_data.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "app/files/utf8.h"
#include "tasks/common/held_out.h"
#include "tasks/text/choose_vocabulary.h"
#include "tasks/text/text_files.h"

namespace ampersand {
namespace {

using Pieces = std::vector<std::string_view>;

// Where the held-out part begins in the file that it begins in, 0 < target < text.size(): at the
// next line, or the next file. In the last file there may be no next line: then at the last line
// before, or this file; in a text of one line, at the next character.
std::size_t border_near(std::string_view text, std::size_t target, bool is_first, bool is_last) {
  const auto newline = text.find('\n', target - 1);
  const std::size_t next = newline == text.npos ? text.size() : newline + 1;
  if (next < text.size() || !is_last) return next;
  const auto before = text.rfind('\n', target - 1);
  if (before != text.npos) return before + 1;
  if (!is_first) return 0;
  while (target < text.size() && continues_character(text[target])) ++target;
  return target;
}

struct Parts {
  Pieces train, test;
};

Parts cut(const Pieces& pieces, double held_out) {
  std::size_t total = 0;
  for (const auto piece : pieces) total += piece.size();
  std::size_t train_bytes = train_share(total, held_out);
  Parts parts;
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    const auto piece = pieces[k];
    std::size_t place = std::min(train_bytes, piece.size());
    train_bytes -= place;
    if (place > 0 && place < piece.size()) {
      place = border_near(piece, place, k == 0, k + 1 == pieces.size());
    }
    if (place > 0) parts.train.push_back(piece.substr(0, place));
    if (place < piece.size()) parts.test.push_back(piece.substr(place));
  }
  return parts;
}

TokenStream stream_of(const Pieces& pieces, const TextFiles& text, const Vocabulary& vocabulary,
                      std::int64_t limit) {
  if (vocabulary.kind() != Vocabulary::Kind::bytes) {
    return TokenStream::of_words(pieces, vocabulary, limit);
  }
  const auto all = TokenStream::of_bytes(pieces, text.owner);
  return limit == 0 ? all : all.first(limit);
}

}  // namespace

TextData load_text(const std::string& what, const TextOptions& options) {
  check_split("load_text", options.held_out, {options.limit_train, options.limit_test});
  const TextFiles text = open_text(what);
  const Parts parts = cut(text.pieces, options.held_out);
  check_parts(what, options.held_out, !parts.train.empty(), !parts.test.empty());
  std::size_t train_bytes = 0;
  for (const auto piece : parts.train) train_bytes += piece.size();
  Vocabulary vocabulary = choose_vocabulary(options.vocabulary, options.given, parts.train);
  auto train = stream_of(parts.train, text, vocabulary, options.limit_train);
  auto test = stream_of(parts.test, text, vocabulary, options.limit_test);
  return {.name = text.name,
          .vocabulary = std::move(vocabulary),
          .train = std::move(train),
          .test = std::move(test),
          .train_hash = text.hashes.of_part(parts.train, 0),
          .test_hash = text.hashes.of_part(parts.test, train_bytes)};
}

void check_context(const TextData& data, std::int64_t context) {
  if (context < 1) {
    throw amp::InvalidArgument("context: must be at least 1, got " + std::to_string(context));
  }
  for (const auto& [part, stream] :
       {std::pair<const char*, const TokenStream&>("training", data.train),
        {"held-out", data.test}}) {
    if (stream.empty() || context < stream.size()) continue;
    throw amp::InvalidArgument("context: must be below the " + std::to_string(stream.size()) +
                               " tokens of the " + part + " part of " + data.name + ", got " +
                               std::to_string(context) +
                               "; give a longer text or a shorter context");
  }
}

}  // namespace ampersand
