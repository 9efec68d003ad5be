// A shuffled order of any length that takes no memory.
#pragma once

#include <array>
#include <cstdint>

namespace ampersand {

// The numbers 0 to size - 1 in a pseudo-random order that depends on size, seed and epoch alone.
// A Feistel network over a rectangle of rows x columns that is little larger than `size`; a result
// that is too large goes through it again.
//
// Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", sections 4 and 5.
class Permutation {
 public:
  // Throws amp::InvalidArgument for a size below 1 or above 2^62.
  Permutation(std::int64_t size, std::uint64_t seed, std::uint64_t epoch);

  std::int64_t size() const { return static_cast<std::int64_t>(size_); }
  // The i-th number of the order, 0 <= i < size().
  std::int64_t operator[](std::int64_t i) const;

 private:
  static constexpr int kRounds = 8;

  std::uint64_t size_, rows_, columns_;
  std::array<std::uint64_t, kRounds> keys_;
};

}  // namespace ampersand
