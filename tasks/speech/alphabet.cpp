// The characters that a model of speech writes.
#include "tasks/speech/alphabet.h"

#include <set>
#include <utility>

#include "amp/error.h"
#include "app/files/utf8.h"

namespace ampersand {
namespace {

std::string_view leading_character(std::string_view text) {
  std::size_t size = 1;
  while (size < text.size() && continues_character(text[size])) ++size;
  return text.substr(0, size);
}

template <typename Visit>
void for_each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const auto character = leading_character(text);
    visit(std::string(character));
    text.remove_prefix(character.size());
  }
}

}  // namespace

Alphabet Alphabet::of(std::span<const std::string> texts) {
  std::set<std::string> characters;
  for (const auto& text : texts)
    for_each_character(text, [&](auto character) { characters.insert(std::move(character)); });
  return Alphabet({characters.begin(), characters.end()});
}

Alphabet::Alphabet(std::vector<std::string> characters) : characters_(std::move(characters)) {
  if (characters_.empty())
    throw amp::InvalidArgument("Alphabet: there must be characters, got none");
  for (const auto& character : characters_) {
    const auto label = static_cast<std::int32_t>(labels_.size()) + 1;
    if (!labels_.emplace(character, label).second)
      throw amp::InvalidArgument("Alphabet: each character must be there once, got '" + character +
                                 "' twice");
  }
}

std::vector<std::int32_t> Alphabet::encode(std::string_view text,
                                           const std::filesystem::path& path) const {
  std::vector<std::int32_t> labels;
  for_each_character(text, [&](const std::string& character) {
    const auto found = labels_.find(character);
    if (found == labels_.end()) {
      std::string all;
      for (const auto& known : characters_) all += known;
      throw amp::IoError(path, "the transcript has the character '" + character +
                                   "', which is not of the model's alphabet, '" + all +
                                   "'; write it with these");
    }
    labels.push_back(found->second);
  });
  return labels;
}

std::string Alphabet::decode(std::span<const std::int64_t> labels) const {
  std::string text;
  for (const auto label : labels) text += characters_.at(static_cast<std::size_t>(label) - 1);
  return text;
}

}  // namespace ampersand
