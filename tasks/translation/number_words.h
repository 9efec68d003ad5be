// Numbers and their English names: a small translation that needs no download.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ampersand {

// "4,217": digits with a comma before every third from the right.
std::string digits_of(std::uint32_t number);

// "four thousand two hundred seventeen", "twenty-one", "zero": American, without "and".
std::string words_of(std::uint32_t number);

// `count` pairs of different numbers below 10^9, digits and words; as many of each length as there
// are, and as the lengths share the count. The first pairs do not depend on `count`.
// Throws amp::InvalidArgument for a count above 1,000,000 or below 0.
std::vector<std::pair<std::string, std::string>> number_pairs(std::int64_t count);

}  // namespace ampersand
