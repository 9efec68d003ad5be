// What tells one text from another, block by block.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ampersand {

// Hashes made while a text is read for another reason, so that it need not be read again.
class TextHashes {
 public:
  void add(std::string_view block);  // the next of the text

  // XXH3-128 of the part of the text that begins at byte `begin` and that `pieces` are, one after the
  // other; no block may lie in two of them. Reads the blocks that the part has only a part of.
  std::string of_part(std::span<const std::string_view> pieces, std::size_t begin) const;

 private:
  struct Block {
    std::size_t end = 0;  // in the text
    std::string hash;
  };
  std::vector<Block> blocks_;
};

}  // namespace ampersand
