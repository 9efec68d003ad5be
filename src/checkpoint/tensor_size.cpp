// Sizes, multiplied only where the product fits.
#include "src/checkpoint/tensor_size.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace amp::checkpoint {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 10> kSizes = {{{"F64", 8},
                                                                                {"F32", 4},
                                                                                {"F16", 2},
                                                                                {"BF16", 2},
                                                                                {"I64", 8},
                                                                                {"I32", 4},
                                                                                {"I16", 2},
                                                                                {"I8", 1},
                                                                                {"U8", 1},
                                                                                {"BOOL", 1}}};

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 9> kReadSizes = {
    {{"F8_E4M3", 1},
     {"F8_E5M2", 1},
     {"F8_E8M0", 1},
     {"F8_E4M3FNUZ", 1},
     {"F8_E5M2FNUZ", 1},
     {"U16", 2},
     {"U32", 4},
     {"U64", 8},
     {"C64", 8}}};

}  // namespace

std::optional<std::uint64_t> element_size(std::string_view dtype) {
  for (const auto& [name, size] : kSizes) {
    if (name == dtype) return size;
  }
  return {};
}

std::optional<std::uint64_t> read_element_size(std::string_view dtype) {
  for (const auto& [name, size] : kReadSizes) {
    if (name == dtype) return size;
  }
  return element_size(dtype);
}

std::string known_dtypes() {
  std::string names;
  for (const auto& [name, size] : kSizes) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

std::optional<std::uint64_t> tensor_bytes(std::span<const std::int64_t> shape,
                                          std::uint64_t element) {
  if (std::ranges::any_of(shape, [](std::int64_t size) { return size < 0; })) return {};
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  std::uint64_t product = element;
  // A size of 0 first, so that no product before it can be too large.
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  for (const std::int64_t size : shape) {
    if (product > most / static_cast<std::uint64_t>(size)) return {};
    product *= static_cast<std::uint64_t>(size);
  }
  return product;
}

}  // namespace amp::checkpoint
