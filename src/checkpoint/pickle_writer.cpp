// Writes pickles.
//
// Source: Lib/pickletools.py, CPython, for the opcodes.
#include "src/checkpoint/pickle_writer.h"

#include <bit>
#include <limits>

namespace amp::checkpoint {

PickleWriter::PickleWriter() : bytes_{'\x80', 2} {}

void PickleWriter::little_endian(std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) op(static_cast<char>(value >> (8 * i)));
}

void PickleWriter::begin_dict() { op('}'); }
void PickleWriter::set_item() { op('s'); }
void PickleWriter::mark() { op('('); }
void PickleWriter::tuple() { op('t'); }

void PickleWriter::tuple_of(const std::vector<std::int64_t>& integers) {
  mark();
  for (const auto value : integers) integer(value);
  tuple();
}

void PickleWriter::text(std::string_view text) {
  op('X');
  little_endian(text.size(), 4);
  bytes_.insert(bytes_.end(), text.begin(), text.end());
}

void PickleWriter::integer(std::int64_t value) {
  using Small = std::numeric_limits<std::int32_t>;
  const bool is_small = value >= Small::min() && value <= Small::max();
  op(is_small ? 'J' : '\x8a');
  if (!is_small) op(8);  // bytes to come
  little_endian(static_cast<std::uint64_t>(value), is_small ? 4 : 8);
}

void PickleWriter::real(double value) {
  op('G');
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 56; shift >= 0; shift -= 8) op(static_cast<char>(bits >> shift));
}

void PickleWriter::boolean(bool value) { op(value ? '\x88' : '\x89'); }

void PickleWriter::global(std::string_view module, std::string_view name) {
  op('c');
  for (const auto word : {module, name}) {
    bytes_.insert(bytes_.end(), word.begin(), word.end());
    op('\n');
  }
}

void PickleWriter::call() { op('R'); }
void PickleWriter::persistent_id() { op('Q'); }

const std::vector<char>& PickleWriter::finish() {
  op('.');
  return bytes_;
}

}  // namespace amp::checkpoint
