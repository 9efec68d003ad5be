// Numbers and text as the report prints them.
#include "app/report/format.h"

#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace ampersand::report {
namespace {

constexpr std::string_view kMinus = "\u2212";
constexpr std::string_view kNoBreakSpace = "\u00a0";

// Digits of |value|, without separators.
std::string digits(double value, int decimals) {
  std::array<char, 512> buffer{};  // the largest double has 309 digits before the point
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, std::fabs(value));
  return buffer.data();
}

bool rounds_to_zero(const std::string& shown) {
  return shown.find_first_not_of("0.") == std::string::npos;
}

std::string separate_thousands(std::string shown) {
  std::size_t position = shown.find('.');
  if (position == std::string::npos) position = shown.size();
  for (; position > 3; position -= 3) shown.insert(position - 3, ",");
  return shown;
}

std::string superscript(int exponent) {
  static constexpr std::array<std::string_view, 10> kDigits = {"⁰", "¹", "²", "³", "⁴",
                                                               "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string raised;
  for (const char digit : std::to_string(exponent)) {
    if (digit == '-') {
      raised += "⁻";
    } else {
      raised += kDigits[static_cast<std::size_t>(digit - '0')];
    }
  }
  return raised;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char character : text) {
    switch (character) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += character;
    }
  }
  return escaped;
}

std::string grouped(double value, int decimals) {
  const std::string shown = digits(value, decimals);
  const bool negative = value < 0 && !rounds_to_zero(shown);
  return (negative ? std::string(kMinus) : "") + separate_thousands(shown);
}

std::string with_sign(double value, int decimals) {
  const bool positive = value > 0 && !rounds_to_zero(digits(value, decimals));
  return (positive ? "+" : "") + grouped(value, decimals);
}

std::string with_capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string percent(double fraction, int decimals) {
  return grouped(100 * fraction, decimals) + std::string(kNoBreakSpace) + "%";
}

std::string loss(double value) {
  const double size = std::fabs(value);
  if (size >= 1000) return grouped(value, 0);
  if (size >= 0.01 || size == 0) return grouped(value, 3);
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.2e", value);
  return buffer.data();
}

std::string megabytes(double bytes) {
  const double value = bytes / 1e6;
  const int decimals = std::fabs(value) >= 100 ? 0 : std::fabs(value) >= 10 ? 1 : 2;
  return grouped(value, decimals);
}

std::string ratio(double value) { return grouped(value, 2) + "×"; }

std::string loss_scale(double value) {
  const int decimals = value == std::floor(value) ? 0 : 3;
  int exponent = 0;
  if (std::frexp(value, &exponent) != 0.5) return grouped(value, decimals);
  const std::string power = "2" + superscript(exponent - 1);
  return value < 1 ? power : grouped(value) + " (" + power + ")";
}

}  // namespace ampersand::report
