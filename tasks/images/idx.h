// Reads IDX files, the format MNIST and its successors are published in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace ampersand {

// An array of unsigned bytes: `values` holds the product of `shape` elements, last dimension
// fastest (row-major).
struct IdxArray {
  std::vector<std::uint32_t> shape;
  std::vector<std::uint8_t> values;
};

// Reads an IDX file of unsigned bytes with 1 to 4 dimensions, plain or gzip; the file's first two
// bytes decide which, not its name. A gzip file may have several members; its checksums are
// verified. Memory grows with the bytes that the file really holds, whatever its header promises.
//
// Throws amp::IoError when the file cannot be read, is no IDX file of unsigned bytes, holds fewer
// or more values than its header promises, or is a truncated, corrupt or overlong gzip stream.
//
// Source: http://yann.lecun.com/exdb/mnist/ ("the IDX file format"); RFC 1952 (gzip).
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace ampersand
