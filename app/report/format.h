// Numbers and text as the report prints them. All results are UTF-8; only escape_html's is meant as
// HTML.
#pragma once

#include <string>
#include <string_view>

namespace ampersand::report {

inline constexpr std::string_view kDash = "\u2013";  // stands for "not known"

// Text made safe as HTML content and inside double or single quotes.
std::string escape_html(std::string_view text);

// A number with thousands separators: grouped(5935.84, 1) is "5,935.8". A negative one begins with
// U+2212.
std::string grouped(double value, int decimals = 0);
// As grouped, with a plus sign where the value is positive; what rounds to zero has no sign.
std::string with_sign(double value, int decimals);
// The text with its first letter, if that is of ASCII, as a capital.
std::string with_capital(std::string text);
// A fraction as a percentage: percent(0.90475) is "90.48 %", with a space that does not break.
std::string percent(double fraction, int decimals = 2);
// A loss or perplexity: three decimals, more below 0.01, fewer above 1,000.
std::string loss(double value);
// Bytes in megabytes of 1e6 bytes, without the unit, with about three digits: "4.80", "598".
std::string megabytes(double bytes);
// A ratio with two decimals: "2.11×".
std::string ratio(double value);
// A loss scale, as a power of two where it is one: "65,536 (2¹⁶)".
std::string loss_scale(double value);

}  // namespace ampersand::report
