// The number formats as values: their fields, their ranges, their names. No torch headers.
#pragma once

#include <cstdint>
#include <string>

#include "amp/export.h"

namespace amp {

enum class Format : std::uint8_t {
  fp32,
  tf32,  // NVIDIA's: fp32's exponent, fp16's mantissa; 19 bits, kept in 32
  bf16,
  fp16,
  e4m3,  // OCP FP8 E4M3, torch's float8_e4m3fn: no Inf, one NaN, 448 is the largest number
  e5m2,  // OCP FP8 E5M2, torch's float8_e5m2: fp16 without its last eight bits
};

// A number is (-1)^sign 1.mantissa 2^(exponent - bias); with an exponent field of 0 it is
// (-1)^sign 0.mantissa 2^(1 - bias), a subnormal.
// Source: IEEE 754-2019; Micikevicius et al., "FP8 Formats for Deep Learning", 2022, and the OCP
// 8-bit Floating Point Specification, 2023.
struct FormatInfo {
  Format format;
  const char* name;  // "e4m3"
  int bytes;         // of an element in memory: 4, 2 or 1
  int exponent_bits;
  int mantissa_bits;  // those that are stored; one more leads a normal number
  int bias;
  double max_finite;
  double min_normal;
  double min_subnormal;  // the distance of the numbers around zero
  double epsilon;        // from 1 to the next number: 2^-mantissa_bits
  bool has_inf;          // e4m3 uses those codes for numbers: what overflows is NaN
};

AMP_API const FormatInfo& format_info(Format format);
inline const char* format_name(Format format) { return format_info(format).name; }
[[deprecated("use format_name()")]] inline const char* name_of(Format format) {
  return format_name(format);
}
// The format of a name: "fp32", "tf32", "bf16", "fp16", "e4m3" or "e5m2". Throws InvalidArgument
// for another, naming the nearest.
AMP_API Format format_of(const std::string& name);

}  // namespace amp
