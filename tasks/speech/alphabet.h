// The characters that a model of speech writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ampersand {

// Characters of UTF-8 in the order of their bytes; label 1 is the first, and label 0 stands for none:
// CTC's blank.
class Alphabet {
 public:
  static constexpr std::int64_t kBlank = 0;

  // Those that occur in the texts, which are UTF-8. Throws amp::InvalidArgument for none.
  static Alphabet of(std::span<const std::string> texts);
  // Of characters in order. Throws amp::InvalidArgument for one that is there twice, and for none.
  explicit Alphabet(std::vector<std::string> characters);

  const std::vector<std::string>& characters() const { return characters_; }
  std::int64_t labels() const { return static_cast<std::int64_t>(characters_.size()) + 1; }

  // The labels of a text. Throws amp::IoError, naming the character, for one that is not of the
  // alphabet; `path` is where the text is from.
  std::vector<std::int32_t> encode(std::string_view text, const std::filesystem::path& path) const;
  // Labels from 1 on.
  std::string decode(std::span<const std::int64_t> labels) const;

 private:
  std::vector<std::string> characters_;
  std::unordered_map<std::string, std::int32_t> labels_;
};

}  // namespace ampersand
