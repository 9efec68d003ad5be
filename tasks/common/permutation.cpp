// A Feistel network that walks its cycles until it is back in range.
#include "tasks/common/permutation.h"

#include <cmath>
#include <string>

#include "amp/error.h"
#include "tasks/common/split_mix.h"

namespace ampersand {
namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 62;
constexpr std::uint64_t kOrder = 0x6f72646572;  // other numbers than a crop's of the same epoch

std::uint64_t rounded_up_root(std::uint64_t number) {
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(number)));
  while (root * root < number) ++root;
  while (root > 1 && (root - 1) * (root - 1) >= number) --root;
  return root;
}

}  // namespace

Permutation::Permutation(std::int64_t size, std::uint64_t seed, std::uint64_t epoch) {
  if (size < 1 || size > kMostNumbers) {
    throw amp::InvalidArgument("Permutation: size must be 1 to " + std::to_string(kMostNumbers) +
                               ", got " + std::to_string(size));
  }
  size_ = static_cast<std::uint64_t>(size);
  rows_ = rounded_up_root(size_);
  columns_ = (size_ + rows_ - 1) / rows_;
  const std::uint64_t state = epoch_state(seed, epoch) ^ kOrder;
  for (std::uint64_t round = 0; round < keys_.size(); ++round) {
    keys_[round] = random_number(state, round);
  }
}

std::int64_t Permutation::operator[](std::int64_t i) const {
  auto number = static_cast<std::uint64_t>(i);
  do {
    std::uint64_t row = number / columns_;
    std::uint64_t column = number % columns_;
    for (std::size_t round = 0; round < keys_.size(); round += 2) {
      row = (row + split_mix(keys_[round] ^ column) % rows_) % rows_;
      column = (column + split_mix(keys_[round + 1] ^ row) % columns_) % columns_;
    }
    number = row * columns_ + column;
  } while (number >= size_);
  return static_cast<std::int64_t>(number);
}

}  // namespace ampersand
