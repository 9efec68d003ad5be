// What tells one text from another, block by block.
#include "tasks/text/text_hashes.h"

#include <algorithm>

#include "src/files/hash.h"

namespace ampersand {

using amp::files::hash_of;

void TextHashes::add(std::string_view block) {
  const auto begin = blocks_.empty() ? 0 : blocks_.back().end;
  blocks_.push_back({begin + block.size(), hash_of(block)});
}

std::string TextHashes::of_part(std::span<const std::string_view> pieces, std::size_t begin) const {
  amp::files::Hash hash;
  for (auto piece : pieces) {
    while (!piece.empty()) {
      const auto block = std::ranges::upper_bound(blocks_, begin, {}, &Block::end);
      const auto block_begin = block == blocks_.begin() ? 0 : std::prev(block)->end;
      const auto size = std::min(piece.size(), block->end - begin);
      const bool is_whole = begin == block_begin && size == block->end - block_begin;
      const auto digest = is_whole ? block->hash : hash_of(piece.substr(0, size));
      hash.add(digest.data(), digest.size());
      begin += size;
      piece.remove_prefix(size);
    }
  }
  return hash.hex();
}

}  // namespace ampersand
