// Numbers and their English names.
#include "tasks/translation/number_words.h"

#include <array>
#include <cstddef>
#include <unordered_set>

#include "amp/error.h"
#include "tasks/common/split_mix.h"

namespace ampersand {
namespace {

constexpr std::int64_t kMostPairs = 1'000'000;
constexpr std::uint64_t kLongestNumber = 9;

constexpr std::array<const char*, 20> kSmall = {
    "zero",     "one",     "two",     "three",     "four",     "five",    "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<const char*, 10> kTens = {"",      "",      "twenty",  "thirty", "forty",
                                               "fifty", "sixty", "seventy", "eighty", "ninety"};

struct Scale {
  std::uint32_t value;
  const char* name;
};
constexpr std::array<Scale, 4> kScales = {
    {{1'000'000'000, "billion"}, {1'000'000, "million"}, {1'000, "thousand"}, {100, "hundred"}}};

// What the draw-th draw gives: every length, 1 to 9 digits, alike.
std::uint32_t drawn_number(std::uint64_t draw) {
  const std::uint64_t length = 1 + random_number(epoch_state(0, 0), 2 * draw) % kLongestNumber;
  std::uint64_t limit = 1;
  for (std::uint64_t digit = 0; digit < length; ++digit) limit *= 10;
  const std::uint64_t least = length == 1 ? 0 : limit / 10;
  const std::uint64_t random = random_number(epoch_state(0, 0), 2 * draw + 1);
  return static_cast<std::uint32_t>(least + random % (limit - least));
}

}  // namespace

std::string digits_of(std::uint32_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3;) digits.insert(place -= 3, ",");
  return digits;
}

std::string words_of(std::uint32_t number) {
  for (const auto& [value, name] : kScales) {
    if (number < value) continue;
    const std::string words = words_of(number / value) + " " + name;
    return number % value == 0 ? words : words + " " + words_of(number % value);
  }
  if (number < kSmall.size()) return kSmall[number];
  const std::string tens = kTens[number / 10];
  return number % 10 == 0 ? tens : tens + "-" + kSmall[number % 10];
}

std::vector<std::pair<std::string, std::string>> number_pairs(std::int64_t count) {
  if (count < 0 || count > kMostPairs) {
    throw amp::InvalidArgument("number_pairs: count must be 0 to " + std::to_string(kMostPairs) +
                               ", got " + std::to_string(count));
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  std::unordered_set<std::uint32_t> drawn;
  for (std::uint64_t draw = 0; static_cast<std::int64_t>(pairs.size()) < count; ++draw) {
    const std::uint32_t number = drawn_number(draw);
    if (drawn.insert(number).second) pairs.emplace_back(digits_of(number), words_of(number));
  }
  return pairs;
}

}  // namespace ampersand
