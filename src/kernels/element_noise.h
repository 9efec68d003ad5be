// Random bits as a hash of a seed and an element's index: for rounding a tensor at random in any
// number of threads, at the speed of memory. Philox (philox.h) has better-founded bits, 16 an element
// and twice as dear; a format of two mantissa bits wants 32 of them, or tiny numbers never round up.
//
// Source: the rounds are Wellons's triple32, "Prospecting for Hash Functions", 2018, whose bias is
// within a third of the least that a function of 32 bits can have; the keys are those of splitmix64
// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#pragma once

#include <cstdint>

namespace amp::kernels {

// Of the 2^32 elements that share the upper half of their index.
struct ElementKeys {
  std::uint32_t first, second;
};

constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

constexpr ElementKeys element_keys(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t key = splitmix64(splitmix64(seed) ^ (index >> 32));
  return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

constexpr std::uint32_t kNoiseMultiplier1 = 0xED5AD4BB, kNoiseMultiplier2 = 0xAC4C1B51,
                        kNoiseMultiplier3 = 0x31848BAB;

// The second key goes in after the first round, so that two seeds do not draw the same bits in
// another order.
constexpr std::uint32_t element_bits(std::uint64_t seed, std::uint64_t index) {
  const auto keys = element_keys(seed, index);
  std::uint32_t x = static_cast<std::uint32_t>(index) + keys.first;
  x = (x ^ (x >> 17)) * kNoiseMultiplier1 ^ keys.second;
  x = (x ^ (x >> 11)) * kNoiseMultiplier2;
  x = (x ^ (x >> 15)) * kNoiseMultiplier3;
  return x ^ (x >> 14);
}

}  // namespace amp::kernels
