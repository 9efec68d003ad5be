// The safetensors format: a header in JSON, then the tensors' bytes. Free of LibTorch; a tensor is
// a name, a type, a shape and bytes.
//
// Source: https://huggingface.co/docs/safetensors ("Format"): 8 bytes, the header's length as
// little-endian integer; the header; the data, which the header's offsets cover exactly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "src/files/input_file.h"
#include "src/files/output_file.h"

namespace amp::checkpoint {

// A tensor to write: contiguous, row-major, little-endian.
struct TensorView {
  std::string name;
  std::string dtype;  // F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL
  std::vector<std::int64_t> shape;
  const void* data;
  std::uint64_t bytes;
};

// Writes the tensors in the given order, without gaps; the data begin at a multiple of 8 bytes.
//
// Throws amp::InvalidArgument for a name that comes twice, is "__metadata__" or is not UTF-8, for
// an unknown dtype, and for `bytes` that are not those of dtype and shape; and what `sink` throws.
void write_safetensors(std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata, const files::Sink& sink);

// What the header says about one tensor.
struct TensorEntry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes;
  std::uint64_t begin;  // of its data, from the start of all data
};

// A safetensors file, which may be anybody's: everything the header says is checked against the
// file before it is used.
class SafetensorsFile {
 public:
  // Throws amp::IoError for a file that cannot be read, or is not wholly as the format says: the
  // header's length within the file and 100 MB, no name or key twice, known dtypes, each tensor as
  // many bytes as dtype and shape ask for, no gap, no overlap, and nothing after the last tensor.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<TensorEntry>& entries() const { return entries_; }  // in order of their data
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Copies the data of one of `entries()` to `to`, which has room for `entry.bytes`. Throws
  // amp::InvalidArgument for an entry of another file, amp::IoError when the file cannot be read.
  void read(const TensorEntry& entry, void* to) const;

 private:
  files::InputFile file_;
  std::uint64_t data_begin_ = 0;  // from the start of the file
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace amp::checkpoint
