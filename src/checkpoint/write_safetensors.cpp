// Writes safetensors.
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "amp/error.h"
#include "src/checkpoint/safetensors.h"
#include "src/checkpoint/tensor_size.h"
#include "src/files/strict_json.h"

namespace amp::checkpoint {
namespace {

using files::shown;
using files::Sink;

[[noreturn]] void refuse(const std::string& message) {
  throw InvalidArgument("write_safetensors: " + message);
}

// As JSON, or refused: nlohmann throws for text that is not UTF-8.
std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    refuse("names and metadata must be UTF-8, got " + shown(text));
  }
}

void check(const TensorView& tensor) {
  const auto element = element_size(tensor.dtype);
  if (!element) {
    refuse("dtype must be one of " + known_dtypes() + ", got " + shown(tensor.dtype) + " for " +
           shown(tensor.name));
  }
  const auto bytes = tensor_bytes(tensor.shape, *element);
  const std::string shape = tensor.dtype + nlohmann::json(tensor.shape).dump();
  if (!bytes) refuse(shown(tensor.name) + " cannot have the size of " + shape);
  if (*bytes != tensor.bytes) {
    refuse(shown(tensor.name) + " must have the " + std::to_string(*bytes) + " bytes of " + shape +
           ", got " + std::to_string(tensor.bytes));
  }
  if (tensor.bytes > 0 && tensor.data == nullptr) refuse(shown(tensor.name) + " has no data");
}

std::string header_of(std::span<const TensorView> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  const auto add = [&](const std::string& key, const std::string& value) {
    if (header.size() > 1) header += ',';
    header += quoted(key) + ':' + value;
  };
  if (!metadata.empty()) {
    for (const auto& [key, value] : metadata) quoted(key + value);
    add(std::string(kMetadataKey), nlohmann::json(metadata).dump());
  }
  std::set<std::string> names = {std::string(kMetadataKey)};
  std::uint64_t begin = 0;
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      refuse("each name must come once and not be __metadata__, got " + shown(tensor.name));
    }
    check(tensor);
    const std::uint64_t end = begin + tensor.bytes;  // below 2^63 each: the sum cannot pass 2^64
    if (end >> 63 != 0) refuse("all tensors together must be below 2^63 bytes");
    // Written by hand, for a JSON object would keep no order.
    add(tensor.name,
        "{\"dtype\":\"" + tensor.dtype + "\",\"shape\":" + nlohmann::json(tensor.shape).dump() +
            ",\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}");
    begin = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > kMaxHeader) refuse("the header must be at most 100 MB; use fewer tensors");
  return header;
}

}  // namespace

void write_safetensors(std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata, const Sink& sink) {
  const std::string header = header_of(tensors, metadata);
  std::array<unsigned char, 8> length{};
  for (std::size_t byte = 0; byte < length.size(); ++byte) {
    length[byte] = static_cast<unsigned char>(header.size() >> (8 * byte));
  }
  sink(length.data(), length.size());
  sink(header.data(), header.size());
  for (const TensorView& tensor : tensors) {
    if (tensor.bytes > 0) sink(tensor.data, tensor.bytes);
  }
}

}  // namespace amp::checkpoint
