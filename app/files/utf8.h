// Is it UTF-8, and what is written where it is not.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ampersand {

// Where the first character begins that is not well-formed UTF-8 (an overlong form, a surrogate, a
// code point above U+10FFFF, a character that the end cuts); nothing where all are.
//
// Source: The Unicode Standard 15.0, table 3-7, "Well-Formed UTF-8 Byte Sequences".
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// Throws amp::IoError for the text of a file that is not UTF-8: with the byte where it ceases to be,
// or with the encoding's name for UTF-16 and UTF-32, which a mark or their zero bytes tell.
// `visit` gets the text in blocks of at most 1 MiB that end with a character, each when it was checked.
void check_utf8(std::string_view text, const std::filesystem::path& path,
                const std::function<void(std::string_view)>& visit = {});

// The text without the byte-order mark that some editors put before UTF-8.
inline std::string_view without_mark(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

// `text` in UTF-8, whatever its bytes: each that is of no character becomes U+FFFD. For what a model
// has written.
std::string valid_utf8(std::string_view text);

// A name of any bytes in UTF-8, and back: each byte that is of no character is written \xHH, and so is a
// backslash before an x. unescaped_name(escaped_name(name)) == name for all names.
std::string escaped_name(std::string_view name);
std::string unescaped_name(std::string_view text);

// A message in UTF-8: each byte that is of no character is written \xHH, and line ends are spaces.
std::string readable_line(std::string_view message);

// Whether a byte continues a character that began before it.
inline bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

}  // namespace ampersand
