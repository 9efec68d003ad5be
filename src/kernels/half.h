// fp16 to and from fp32 in integers, for targets without instructions for it: exact, rounding to
// nearest even, and with the NaN payloads that x86's instructions give.
#pragma once

#include <bit>
#include <cstdint>

namespace amp::kernels {

inline float float_from_half(std::uint16_t code) {
  const std::uint32_t sign = (code & 0x8000u) << 16, magnitude = code & 0x7FFFu;
  if (magnitude < 0x400) {  // zero and subnormal: multiples of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  std::uint32_t bits = (magnitude << 13) + (112u << 23);  // the biases differ by 127 - 15
  if (magnitude >= 0x7C00) bits += 112u << 23;            // Inf and NaN
  if (magnitude > 0x7C00) bits |= 0x400000;               // a quiet one
  return std::bit_cast<float>(sign | bits);
}

inline std::uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  std::uint32_t code;
  if (magnitude > 0x7F800000) {
    code = 0x7E00 | (magnitude >> 13 & 0x3FF);
  } else if (magnitude >= 0x47800000) {  // 65536
    code = 0x7C00;
  } else if (magnitude >= 0x38800000) {  // 2^-14, the smallest normal number
    const std::uint32_t rebased = magnitude - (112u << 23);
    code = (rebased + 0xFFF + (rebased >> 13 & 1)) >> 13;
  } else {  // from 1/2 on an fp32 ulp is 2^-24, fp16's smallest step: the addition rounds
    code = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000;
  }
  return static_cast<std::uint16_t>(sign | code);
}

}  // namespace amp::kernels
