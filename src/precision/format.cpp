// The table of the formats.
#include "amp/precision/format.h"

#include <vector>

#include "amp/error.h"
#include "src/text/suggest.h"

namespace amp {
namespace {

constexpr FormatInfo kFormats[] = {
    {.format = Format::fp32,
     .name = "fp32",
     .bytes = 4,
     .exponent_bits = 8,
     .mantissa_bits = 23,
     .bias = 127,
     .max_finite = 0x1.fffffep127,
     .min_normal = 0x1p-126,
     .min_subnormal = 0x1p-149,
     .epsilon = 0x1p-23,
     .has_inf = true},
    {.format = Format::tf32,
     .name = "tf32",
     .bytes = 4,
     .exponent_bits = 8,
     .mantissa_bits = 10,
     .bias = 127,
     .max_finite = 0x1.ffcp127,
     .min_normal = 0x1p-126,
     .min_subnormal = 0x1p-136,
     .epsilon = 0x1p-10,
     .has_inf = true},
    {.format = Format::bf16,
     .name = "bf16",
     .bytes = 2,
     .exponent_bits = 8,
     .mantissa_bits = 7,
     .bias = 127,
     .max_finite = 0x1.fep127,
     .min_normal = 0x1p-126,
     .min_subnormal = 0x1p-133,
     .epsilon = 0x1p-7,
     .has_inf = true},
    {.format = Format::fp16,
     .name = "fp16",
     .bytes = 2,
     .exponent_bits = 5,
     .mantissa_bits = 10,
     .bias = 15,
     .max_finite = 65504,
     .min_normal = 0x1p-14,
     .min_subnormal = 0x1p-24,
     .epsilon = 0x1p-10,
     .has_inf = true},
    {.format = Format::e4m3,
     .name = "e4m3",
     .bytes = 1,
     .exponent_bits = 4,
     .mantissa_bits = 3,
     .bias = 7,
     .max_finite = 448,
     .min_normal = 0x1p-6,
     .min_subnormal = 0x1p-9,
     .epsilon = 0x1p-3,
     .has_inf = false},
    {.format = Format::e5m2,
     .name = "e5m2",
     .bytes = 1,
     .exponent_bits = 5,
     .mantissa_bits = 2,
     .bias = 15,
     .max_finite = 57344,
     .min_normal = 0x1p-14,
     .min_subnormal = 0x1p-16,
     .epsilon = 0x1p-2,
     .has_inf = true},
};

}  // namespace

const FormatInfo& format_info(Format format) {
  for (const auto& info : kFormats)
    if (info.format == format) return info;
  throw InvalidArgument("format_info: format must be one of Format's, got " +
                        std::to_string(static_cast<int>(format)));
}

Format format_of(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& info : kFormats) {
    if (name == info.name) return info.format;
    names.emplace_back(info.name);
  }
  throw InvalidArgument("format_of: name must be that of a number format, got \"" + name + "\"" +
                        text::suggestion(name, names));
}

}  // namespace amp
