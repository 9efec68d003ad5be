// Reads safetensors, believing nothing.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "amp/error.h"
#include "src/checkpoint/safetensors.h"
#include "src/checkpoint/tensor_size.h"
#include "src/files/strict_json.h"

namespace amp::checkpoint {
namespace {

using files::InputFile;
using files::parse_strictly;
using files::shown;

constexpr int kHeaderDepth = 3;  // header, tensor, shape

// Where and about what a message speaks.
struct Place {
  const std::filesystem::path& path;
  std::string name = {};

  [[noreturn]] void refuse(const std::string& message) const {
    throw IoError(path, (name.empty() ? "" : "tensor " + shown(name) + ": ") + message +
                            "; fetch or write the file again");
  }
};

std::string read_header(const InputFile& file) {
  const Place place{file.path()};
  if (file.size() < 8) {
    place.refuse("a safetensors file begins with 8 bytes of header length, but it holds " +
                 std::to_string(file.size()));
  }
  std::array<unsigned char, 8> bytes{};
  file.read(0, bytes.data(), bytes.size());
  std::uint64_t length = 0;
  for (std::size_t byte = 0; byte < bytes.size(); ++byte) {
    length |= std::uint64_t{bytes[byte]} << (8 * byte);
  }
  const std::uint64_t most = std::min(file.size() - 8, kMaxHeader);
  if (length > most) {
    place.refuse("safetensors header length must be at most " + std::to_string(most) + ", got " +
                 std::to_string(length));
  }
  std::string header(length, '\0');
  file.read(8, header.data(), header.size());
  if (!header.starts_with('{'))
    throw IoError(file.path(),
                  "not a safetensors file: its header is no object; give a safetensors file");
  return header;
}

std::map<std::string, std::string> metadata_of(const nlohmann::json& value, const Place& place) {
  const auto is_text = [](const nlohmann::json& item) { return item.is_string(); };
  if (!value.is_object() || !std::ranges::all_of(value, is_text)) {
    place.refuse("__metadata__ must map text to text");
  }
  return value.get<std::map<std::string, std::string>>();
}

// A list of integers from 0 to 2^63 - 1.
std::vector<std::int64_t> integers(const nlohmann::json& list, const char* key,
                                   const Place& place) {
  if (!list.is_array()) place.refuse(std::string(key) + " must be a list");
  std::vector<std::int64_t> values;
  for (const auto& value : list) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >> 63 != 0) {
      place.refuse(std::string(key) + " must hold integers from 0 to 2^63 - 1, got " +
                   value.dump().substr(0, 40));
    }
    values.push_back(value.get<std::int64_t>());
  }
  return values;
}

TensorEntry entry_of(const std::string& name, const nlohmann::json& value, const Place& place) {
  const bool has_three_keys = value.is_object() && value.size() == 3 && value.contains("dtype") &&
                              value.contains("shape") && value.contains("data_offsets");
  if (!has_three_keys) place.refuse("must have dtype, shape and data_offsets, and nothing else");
  if (!value["dtype"].is_string()) place.refuse("dtype must be text");
  TensorEntry entry{.name = name,
                    .dtype = value["dtype"].get<std::string>(),
                    .shape = integers(value["shape"], "shape", place),
                    .bytes = 0,
                    .begin = 0};
  const auto element = read_element_size(entry.dtype);
  const auto offsets = integers(value["data_offsets"], "data_offsets", place);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    place.refuse("data_offsets must be a begin and an end not before it");
  }
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.bytes = static_cast<std::uint64_t>(offsets[1]) - entry.begin;
  // Later versions of the format have dtypes of less than a byte, and more will come.
  if (element && tensor_bytes(entry.shape, *element) != entry.bytes) {
    place.refuse("data_offsets span " + std::to_string(entry.bytes) +
                 " bytes, which are not those of its dtype and shape");
  }
  return entry;
}

// Sorts by place, and refuses gaps, overlaps and a last end that is not that of the data.
void check_cover(std::vector<TensorEntry>& entries, std::uint64_t data, const Place& place) {
  std::ranges::sort(entries, {}, [](const TensorEntry& entry) {
    return std::tie(entry.begin, entry.bytes, entry.name);
  });
  std::uint64_t end = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != end) {
      Place{place.path, entry.name}.refuse("must begin at byte " + std::to_string(end) +
                                           " of the data, got " + std::to_string(entry.begin) +
                                           (entry.begin > end ? " (a gap)" : " (an overlap)"));
    }
    end = entry.begin + entry.bytes;
  }
  if (end != data) {
    place.refuse("header promises " + std::to_string(end) + " bytes of data, but the file holds " +
                 std::to_string(data));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string text = read_header(file_);
  data_begin_ = 8 + text.size();
  const auto header = parse_strictly(text, path, "the safetensors header", kHeaderDepth);
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadataKey) {
      metadata_ = metadata_of(value, {path});
    } else {
      entries_.push_back(entry_of(name, value, {path, name}));
    }
  }
  check_cover(entries_, file_.size() - data_begin_, {path});
}

void SafetensorsFile::read(const TensorEntry& entry, void* to) const {
  const auto at = std::ranges::lower_bound(
      entries_, std::tie(entry.begin, entry.bytes, entry.name), {},
      [](const TensorEntry& own) { return std::tie(own.begin, own.bytes, own.name); });
  if (at == entries_.end() || at->name != entry.name || at->begin != entry.begin ||
      at->bytes != entry.bytes) {
    throw InvalidArgument("SafetensorsFile: " + shown(entry.name) + " is no entry of " +
                          path().string() + "; pass one of entries()");
  }
  file_.read(data_begin_ + entry.begin, to, entry.bytes);
}

}  // namespace amp::checkpoint
