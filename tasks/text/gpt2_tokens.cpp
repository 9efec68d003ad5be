// The tokens of a vocabulary that numbers them itself.
#include "tasks/text/gpt2_tokens.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "amp/error.h"

namespace ampersand {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw amp::InvalidArgument("Vocabulary: " + why);
}

std::int32_t highest_token(const Gpt2Tokens& tokens) {
  auto highest = *std::ranges::max_element(tokens.bytes);
  for (const auto& merge : tokens.merges) highest = std::max(highest, merge.token);
  for (const auto& special : tokens.special) highest = std::max(highest, special.token);
  return highest;
}

// Tokens get their texts one after the other.
class Texts {
 public:
  explicit Texts(std::size_t size) : texts_(size) {}

  void set(std::int32_t token, const std::string& text) {
    if (token < 0 || static_cast<std::size_t>(token) >= texts_.size())
      refuse("a token must be 0 to " + std::to_string(Vocabulary::kMostTokens - 1) + ", got " +
             std::to_string(token));
    auto& known = texts_[static_cast<std::size_t>(token)];
    if (known && *known != text) refuse("token " + std::to_string(token) + " has two meanings");
    known = text;
  }

  const std::string& get(std::int32_t token, std::size_t merge) const {
    const auto k = static_cast<std::size_t>(token);
    if (token < 0 || k >= texts_.size() || !texts_[k])
      refuse("merge " + std::to_string(merge) + " joins token " + std::to_string(token) +
             ", which is no byte and which no earlier merge makes");
    return *texts_[k];
  }

  std::vector<std::string> all() const {
    std::vector<std::string> all;
    for (const auto& text : texts_) {
      if (!text) refuse("token " + std::to_string(all.size()) + " has no meaning");
      all.push_back(*text);
    }
    return all;
  }

 private:
  std::vector<std::optional<std::string>> texts_;
};

}  // namespace

std::vector<std::string> texts_of(const Gpt2Tokens& tokens) {
  const auto highest = highest_token(tokens);
  Texts texts(highest < 0 || highest >= Vocabulary::kMostTokens
                  ? 0
                  : static_cast<std::size_t>(highest) + 1);
  for (std::size_t byte = 0; byte < tokens.bytes.size(); ++byte)
    texts.set(tokens.bytes[byte], std::string(1, static_cast<char>(byte)));
  for (std::size_t k = 0; k < tokens.merges.size(); ++k) {
    const auto& [left, right, token] = tokens.merges[k];
    texts.set(token, texts.get(left, k) + texts.get(right, k));
  }
  for (const auto& [token, text] : tokens.special) {
    if (text.empty()) refuse("a special token must have a text, got none");
    texts.set(token, text);
  }
  return texts.all();
}

}  // namespace ampersand
