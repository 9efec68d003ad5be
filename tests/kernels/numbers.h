// What the kernels' tests share: the targets, and arrays of every format between guard zones.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "src/kernels/kernels.h"

namespace amp::tests {

using namespace amp::kernels;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline const std::vector<Format> kFormats = {Format::fp32, Format::fp16, Format::bf16};

inline const char* format_name(Format format) {
  return format == Format::fp32 ? "fp32" : format == Format::fp16 ? "fp16" : "bf16";
}
inline std::size_t bytes_of(Format format) { return format == Format::fp32 ? 4 : 2; }
// The distance from 1 to the next number.
inline double epsilon(Format format) {
  return format == Format::fp32 ? 0x1p-23 : format == Format::fp16 ? 0x1p-10 : 0x1p-7;
}
inline double largest(Format format) {
  return format == Format::fp32 ? 0x1.fffffep127 : format == Format::fp16 ? 65504 : 0x1.fep127;
}
inline double smallest_subnormal(Format format) {
  return format == Format::fp32 ? 0x1p-149 : format == Format::fp16 ? 0x1p-24 : 0x1p-133;
}

// None, one, and one more and less than the lanes of vectors of 1 to 16; blocks of 256, and more.
inline const std::vector<std::size_t> kSizes = {0,  1,  2,  3,  7,  8,  9,   15,  16,  17,   31,
                                                32, 33, 63, 64, 65, 97, 255, 256, 257, 1000, 3079};

// Truth by c10's conversions. `begin` elements after the allocation's start, so that vectors are
// misaligned; `guard` bytes on either side that must not change.
class Numbers {
 public:
  Numbers(Format format, std::size_t size, std::size_t begin = 1, std::size_t guard = 128)
      : format_(format),
        size_(size),
        before_(guard + begin * bytes_of(format)),
        bytes_(before_ + size * bytes_of(format) + guard, kGuard) {
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(before_), size * bytes_of(format), 0);
  }

  Format format() const { return format_; }
  std::size_t size() const { return size_; }
  void* data() { return bytes_.data() + before_; }
  const void* data() const { return bytes_.data() + before_; }
  float* fp32() { return static_cast<float*>(data()); }
  std::uint16_t* codes() { return static_cast<std::uint16_t*>(data()); }
  Span span() { return {data(), format_}; }
  ConstSpan read_only() const { return {data(), format_}; }

  std::uint32_t code(std::size_t i) const {
    std::uint32_t code = 0;  // x86 is little-endian
    std::memcpy(&code, bytes_.data() + before_ + i * bytes_of(format_), bytes_of(format_));
    return code;
  }
  void set_code(std::size_t i, std::uint32_t code) {
    std::memcpy(bytes_.data() + before_ + i * bytes_of(format_), &code, bytes_of(format_));
  }
  double operator[](std::size_t i) const {
    const auto narrow = static_cast<std::uint16_t>(code(i));
    if (format_ == Format::fp32) return double{std::bit_cast<float>(code(i))};
    if (format_ == Format::fp16) return double{float(c10::Half(narrow, c10::Half::from_bits()))};
    return double{float(c10::BFloat16(narrow, c10::BFloat16::from_bits()))};
  }
  void set(std::size_t i, double x) {
    const auto value = static_cast<float>(x);
    if (format_ == Format::fp32)
      set_code(i, std::bit_cast<std::uint32_t>(value));
    else if (format_ == Format::fp16)
      set_code(i, c10::Half(value).x);
    else
      set_code(i, c10::BFloat16(value).x);
  }

  bool guards_intact() const {
    const auto after = before_ + size_ * bytes_of(format_);
    const auto is_guard = [](std::uint8_t byte) { return byte == kGuard; };
    return std::all_of(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(before_),
                       is_guard) &&
           std::all_of(bytes_.begin() + static_cast<std::ptrdiff_t>(after), bytes_.end(), is_guard);
  }

 private:
  static constexpr std::uint8_t kGuard = 0xA5;
  Format format_;
  std::size_t size_, before_;
  std::vector<std::uint8_t> bytes_;
};

// The same number: the same bits, or NaN both.
inline bool same(const Numbers& a, const Numbers& b, std::size_t i) {
  return a.code(i) == b.code(i) || (std::isnan(a[i]) && std::isnan(b[i]));
}
inline std::size_t differences(const Numbers& a, const Numbers& b) {
  std::size_t found = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) found += !same(a, b, i);
  return found;
}

// A test for each target; one that this processor lacks is skipped.
class OnTarget : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    kernels_ = find(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  const Table& kernels() const { return *kernels_; }

 private:
  const Table* kernels_ = nullptr;
};

inline const auto kTargets = testing::Values("scalar", "avx2", "avx512");
inline const auto kTargetsAndReference = testing::Values("reference", "scalar", "avx2", "avx512");
inline std::string target_name(const testing::TestParamInfo<const char*>& info) {
  return info.param;
}

}  // namespace amp::tests
