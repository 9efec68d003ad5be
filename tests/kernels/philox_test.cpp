// The generator against its published vectors.
#include "src/kernels/philox.h"

#include <gtest/gtest.h>

#include <set>

namespace amp::tests::philox_test {
namespace {

using namespace amp::kernels;

// Source: the file kat_vectors of Random123, "philox4x32 10".
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox::words({0, 0, 0, 0}, {0, 0}),
            (Philox::Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      Philox::words({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      (Philox::Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      Philox::words({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Philox::Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryPartOfTheNoiseMakesAnotherCounterOrKey) {
  const Noise base{.seed = 5, .step = 6, .parameter = 7, .first = 0};
  std::set<std::pair<Philox::Counter, Philox::Key>> seen;
  const auto add = [&](const Noise& noise, Stream stream, std::uint64_t group, std::uint32_t l) {
    EXPECT_TRUE(seen.insert({philox_counter(noise, stream, group, l), philox_key(noise)}).second);
  };
  add(base, Stream::weights, 0, 0);
  add(base, Stream::weights, 0, 1);
  add(base, Stream::weights, 1, 0);
  add(base, Stream::weights, std::uint64_t{1} << 28, 0);  // beyond 32 bits of counters
  add(base, Stream::weights, (std::uint64_t{1} << 57), 0);
  for (const auto stream : {Stream::first, Stream::second, Stream::largest}) {
    add(base, stream, 0, 0);
  }
  add({.seed = 5 + (std::uint64_t{1} << 32), .step = 6, .parameter = 7}, Stream::weights, 0, 0);
  add({.seed = 6, .step = 6, .parameter = 7}, Stream::weights, 0, 0);
  add({.seed = 5, .step = 7, .parameter = 7}, Stream::weights, 0, 0);
  add({.seed = 5, .step = 6, .parameter = 8}, Stream::weights, 0, 0);
}

}  // namespace
}  // namespace amp::tests::philox_test
