// Checked reads of a pickle's parts.
#include "src/pickle/cursor.h"

#include <bit>

#include "amp/error.h"
#include "src/pickle/read_pickle.h"

namespace amp::pickle {

void Cursor::refuse(const std::string& what) const {
  throw IoError(path_, "the pickle in it " + what + "; write the file again");
}

std::string_view Cursor::take(std::uint64_t count) {
  if (count > bytes_.size() - at_) refuse("is cut short at its byte " + std::to_string(at_));
  const auto taken = bytes_.substr(at_, static_cast<std::size_t>(count));
  at_ += taken.size();
  return taken;
}

std::string_view Cursor::line() {
  const auto end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) refuse("is cut short at its byte " + std::to_string(at_));
  const auto taken = take(end - at_);
  ++at_;
  return taken;
}

unsigned char Cursor::byte() { return static_cast<unsigned char>(take(1)[0]); }

std::uint64_t Cursor::little_endian(std::size_t count) {
  std::uint64_t value = 0;
  const auto taken = take(count);
  for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(taken[i]);
  return value;
}

double Cursor::big_endian_double() {
  std::uint64_t bits = 0;
  for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
  return std::bit_cast<double>(bits);
}

std::int64_t Cursor::integer(std::uint64_t count) {
  if (count > 8) throw NotPlain{"an int beyond 64 bits"};
  if (count == 0) return 0;
  const auto unused = static_cast<int>(64 - 8 * count);  // bits, all equal to the sign
  const auto bits = little_endian(static_cast<std::size_t>(count)) << unused;
  return static_cast<std::int64_t>(bits) >> unused;
}

}  // namespace amp::pickle
