// How many bytes a tensor of a safetensors file takes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace amp::checkpoint {

inline constexpr std::string_view kMetadataKey = "__metadata__";  // no tensor has this name
inline constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes, as the format's own reader

// The size of one element in bytes; none for a dtype that is not written.
std::optional<std::uint64_t> element_size(std::string_view dtype);

// The same, with those that are read alone; none for others.
std::optional<std::uint64_t> read_element_size(std::string_view dtype);

// "F64, F32, ..." for messages.
std::string known_dtypes();

// The product of the sizes and the element's; none where it is 2^63 or more, or a size is negative.
std::optional<std::uint64_t> tensor_bytes(std::span<const std::int64_t> shape,
                                          std::uint64_t element);

}  // namespace amp::checkpoint
