// SplitMix64, the small generator behind what is drawn for a place in an epoch.
#pragma once

#include <cstdint>

namespace ampersand {

inline constexpr std::uint64_t kSplitMixStep = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio, odd

// SplitMix64's output for a state: a bijection in which every bit of the state reaches every bit.
//
// Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
inline std::uint64_t split_mix(std::uint64_t state) {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

// A state for the numbers of one epoch. Mixed twice: seeds and epochs are small numbers, and sums
// of them would meet again.
inline std::uint64_t epoch_state(std::uint64_t seed, std::uint64_t epoch) {
  return split_mix(split_mix(seed + kSplitMixStep) + (epoch + 1) * kSplitMixStep);
}

// The index-th number that begins at `state`.
inline std::uint64_t random_number(std::uint64_t state, std::uint64_t index) {
  return split_mix(state + (index + 1) * kSplitMixStep);
}

}  // namespace ampersand
