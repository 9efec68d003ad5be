// Conversions against c10's: every code, ties, random floats; and what they leave alone.
#include <random>

#include "tests/kernels/numbers.h"

namespace amp::tests::convert_test {
namespace {

class Convert : public OnTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, Convert, kTargetsAndReference, target_name);

Numbers all_codes(Format format) {
  Numbers codes(format, 65536);
  for (std::uint32_t code = 0; code < 65536; ++code) codes.set_code(code, code);
  return codes;
}

// A NaN as the quiet one: whether a conversion quiets it is not promised.
std::uint32_t quiet(std::uint32_t bits) {
  return std::isnan(std::bit_cast<float>(bits)) ? bits | 0x400000 : bits;
}

// fp32 bits of a code.
std::uint32_t widened(Format format, std::uint32_t code) {
  if (format == Format::bf16) return code << 16;
  const auto half = c10::Half(static_cast<std::uint16_t>(code), c10::Half::from_bits());
  return std::bit_cast<std::uint32_t>(static_cast<float>(half));
}

std::uint32_t narrowed(Format format, std::uint32_t bits) {
  const auto value = std::bit_cast<float>(bits);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  if (format == Format::bf16) return std::isnan(value) ? sign | 0x7FC0 : c10::BFloat16(value).x;
  return std::isnan(value) ? sign | 0x7E00 | (bits >> 13 & 0x3FF) : c10::Half(value).x;
}

TEST_P(Convert, WidensEveryCodeAsC10Does) {
  for (const auto format : {Format::fp16, Format::bf16}) {
    const auto codes = all_codes(format);
    Numbers wide(Format::fp32, codes.size());
    kernels().convert(codes.read_only(), wide.span(), codes.size());
    for (std::uint32_t code = 0; code < 65536; ++code) {
      ASSERT_EQ(quiet(wide.code(code)), quiet(widened(format, code)))
          << format_name(format) << " code " << code;
    }
  }
}

TEST_P(Convert, ConvertsEveryCodeOfOneNarrowFormatToTheOther) {
  for (const auto format : {Format::fp16, Format::bf16}) {
    const auto other = format == Format::fp16 ? Format::bf16 : Format::fp16;
    const auto codes = all_codes(format);
    Numbers converted(other, codes.size());
    kernels().convert(codes.read_only(), converted.span(), codes.size());
    for (std::uint32_t code = 0; code < 65536; ++code) {
      ASSERT_EQ(converted.code(code), narrowed(other, quiet(widened(format, code))))
          << format_name(format) << " code " << code;
    }
  }
}

// For each code the number itself, its neighbours in fp32, and the tie with the next code with the
// tie's neighbours.
TEST_P(Convert, RoundsTiesToEven) {
  for (const auto format : {Format::fp16, Format::bf16}) {
    std::vector<std::uint32_t> bits;
    for (std::uint32_t code = 0; code < 65536; ++code) {
      const std::uint32_t here = widened(format, code), next = widened(format, code + 1);
      const std::uint32_t tie = here + (next - here) / 2;
      for (const auto middle : {here, tie}) {
        bits.insert(bits.end(), {middle - 1, middle, middle + 1});
      }
    }
    Numbers wide(Format::fp32, bits.size()), narrow(format, bits.size());
    for (std::size_t i = 0; i < bits.size(); ++i) wide.set_code(i, bits[i]);
    kernels().convert(wide.read_only(), narrow.span(), bits.size());
    for (std::size_t i = 0; i < bits.size(); ++i) {
      ASSERT_EQ(narrow.code(i), narrowed(format, bits[i])) << format_name(format) << " " << bits[i];
    }
  }
}

// Random bits: a 256th of them NaN, as many subnormal. fp16 gets others too, inside its range.
TEST_P(Convert, RoundsTenMillionRandomFloatsAsC10Does) {
  std::mt19937 random(7);
  constexpr std::size_t kPart = 100'000, kParts = 100;
  Numbers wide(Format::fp32, kPart), bf16(Format::bf16, kPart), fp16(Format::fp16, kPart);
  for (std::size_t part = 0; part < kParts; ++part) {
    for (std::size_t i = 0; i < kPart; ++i) {
      auto bits = static_cast<std::uint32_t>(random());
      if (part % 2 == 1) bits = (bits & 0x87FFFFFF) + 0x30000000;  // 2^-31 to 2^17
      wide.set_code(i, bits);
    }
    kernels().convert(wide.read_only(), bf16.span(), kPart);
    kernels().convert(wide.read_only(), fp16.span(), kPart);
    for (std::size_t i = 0; i < kPart; ++i) {
      ASSERT_EQ(bf16.code(i), narrowed(Format::bf16, wide.code(i))) << wide.code(i);
      ASSERT_EQ(fp16.code(i), narrowed(Format::fp16, wide.code(i))) << wide.code(i);
    }
  }
}

TEST_P(Convert, WritesWhatItWasAskedToWrite) {
  for (const auto from : kFormats) {
    for (const auto to : kFormats) {
      for (const auto size : kSizes) {
        for (const std::size_t guard : {0U, 128U}) {  // 0: a sanitizer sees what is read beyond
          Numbers source(from, size, 1, guard), target(to, size, 3, guard);
          for (std::size_t i = 0; i < size; ++i) source.set(i, static_cast<double>(i % 200) - 100);
          kernels().convert(source.read_only(), target.span(), size);
          ASSERT_TRUE(target.guards_intact()) << format_name(from) << format_name(to) << size;
          for (std::size_t i = 0; i < size; ++i) {
            ASSERT_EQ(target[i], static_cast<double>(i % 200) - 100);
          }
        }
      }
    }
  }
}

TEST_P(Convert, CopiesTheBitsOfTheSameFormat) {
  for (const auto format : {Format::fp16, Format::bf16}) {
    const auto codes = all_codes(format);
    Numbers copy(format, codes.size());
    kernels().convert(codes.read_only(), copy.span(), codes.size());
    for (std::uint32_t code = 0; code < 65536; ++code) ASSERT_EQ(copy.code(code), code);
  }
}

}  // namespace
}  // namespace amp::tests::convert_test
