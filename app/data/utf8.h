// Is it UTF-8?
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>

namespace ampersand {

// Where the first character begins that is not well-formed UTF-8 (an overlong form, a surrogate, a
// code point above U+10FFFF, a character that the end cuts); nothing where all are.
//
// Source: The Unicode Standard 15.0, table 3-7, "Well-Formed UTF-8 Byte Sequences".
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// Throws amp::IoError, with the byte where it ceases to be, for the text of a file that is not
// UTF-8.
void check_utf8(std::string_view text, const std::filesystem::path& path);

// Whether a byte continues a character that began before it.
inline bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

}  // namespace ampersand
