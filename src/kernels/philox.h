// Philox4x32-10: random numbers as a function of a counter and a key, so that no state is kept.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
#pragma once

#include <array>
#include <cstdint>

#include "src/kernels/kernels.h"

namespace amp::kernels {

struct Philox {
  using Counter = std::array<std::uint32_t, 4>;
  using Key = std::array<std::uint32_t, 2>;

  static constexpr int kRounds = 10;
  static constexpr std::uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  static constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // added to the key

  static constexpr Counter words(Counter c, Key key) {
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t product0 = std::uint64_t{kMultiplier0} * c[0];
      const std::uint64_t product1 = std::uint64_t{kMultiplier1} * c[2];
      c = {high(product1) ^ c[1] ^ key[0], low(product1), high(product0) ^ c[3] ^ key[1],
           low(product0)};
      key = {key[0] + kWeyl0, key[1] + kWeyl1};
    }
    return c;
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) { return low(x >> 32); }
};

// Each tensor that is rounded at random in a step has random numbers of its own.
enum class Stream : std::uint32_t { weights, first, second, largest };

// 16 bits an element, 128 elements from 16 counters: element 128 b + 32 w + 2 l + h has the lower
// (h = 0) or upper half of word w of counter 16 b + l. So words in memory are in the elements' order,
// from vectors of 1 to 16 counters.
constexpr std::uint64_t kGroup = 128, kCounters = 16;

constexpr Philox::Key philox_key(const Noise& noise) {
  return {static_cast<std::uint32_t>(noise.seed), static_cast<std::uint32_t>(noise.seed >> 32)};
}

// The counter 16 b + l where `group` is b: below 2^57, so that the stream has two bits of its own.
constexpr Philox::Counter philox_counter(const Noise& noise, Stream stream, std::uint64_t group,
                                         std::uint32_t l) {
  const std::uint64_t index = group * kCounters + l;
  return {static_cast<std::uint32_t>(index), noise.step, noise.parameter,
          static_cast<std::uint32_t>(index >> 32) | static_cast<std::uint32_t>(stream) << 30};
}

}  // namespace amp::kernels
