// Writes pickles, protocol 2, in the words that torch.load(weights_only=True) takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace amp::checkpoint {

// Appends one opcode at a time; the caller keeps their order.
class PickleWriter {
 public:
  PickleWriter();  // with the protocol

  void begin_dict();  // then key, value and set_item for each
  void set_item();
  void mark();   // then the items of a tuple
  void tuple();  // back to the mark
  void tuple_of(const std::vector<std::int64_t>& integers);
  void text(std::string_view text);  // UTF-8
  void integer(std::int64_t value);
  void real(double value);
  void boolean(bool value);
  void global(std::string_view module, std::string_view name);
  void call();           // the function and the tuple of its arguments become its result
  void persistent_id();  // the tuple becomes what it stands for

  const std::vector<char>& finish();

 private:
  void op(char code) { bytes_.push_back(code); }
  void little_endian(std::uint64_t value, std::size_t bytes);

  std::vector<char> bytes_;
};

}  // namespace amp::checkpoint
