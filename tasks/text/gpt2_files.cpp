// Vocabularies in GPT-2's two files: vocab.json and merges.txt.
#include "tasks/text/gpt2_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amp/error.h"
#include "app/files/files.h"
#include "app/files/mapped_file.h"
#include "app/files/utf8.h"
#include "src/files/strict_json.h"

namespace ampersand {
namespace {

namespace fs = std::filesystem;
using amp::files::shown;
using Numbers = std::unordered_map<std::string, std::int32_t>;  // of tokens by their texts

constexpr const char* kPair = "give a vocab.json and the merges.txt that was written with it";

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw amp::IoError(path, why + "; " + kPair);
}

// GPT-2's letters: printable bytes stand for themselves, the others for U+0100 and what follows.
std::vector<std::string> letters_of_bytes() {
  std::vector<std::string> letters;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int code = itself ? byte : next++;
    letters.push_back(code < 0x80 ? std::string(1, static_cast<char>(code))
                                  : std::string{static_cast<char>(0xc0 | code >> 6),
                                                static_cast<char>(0x80 | (code & 0x3f))});
  }
  return letters;
}

Numbers read_numbers(const fs::path& path) {
  const MappedFile mapped(path);
  check_utf8(mapped.bytes(), path);
  const auto object =
      amp::files::parse_strictly(without_mark(mapped.bytes()), path, "the vocabulary", 1);
  if (!object.is_object() || object.empty())
    refuse(path, "must be an object with the number of each token by its text");
  if (object.size() > static_cast<std::size_t>(Vocabulary::kMostTokens))
    refuse(path, "must hold at most " + std::to_string(Vocabulary::kMostTokens) + " tokens, got " +
                     std::to_string(object.size()));
  Numbers numbers;
  std::vector<bool> is_there(object.size());
  for (const auto& [text, number] : object.items()) {
    const bool is_number = number.is_number_unsigned() && number < object.size();
    if (!is_number || is_there[number.get<std::size_t>()])
      refuse(path, "the numbers of its " + std::to_string(object.size()) + " tokens must be 0 to " +
                       std::to_string(object.size() - 1) + ", each once, got " +
                       shown(number.dump()) + (is_number ? " twice" : "") + " for " + shown(text));
    is_there[number.get<std::size_t>()] = true;
    numbers.emplace(text, number.get<std::int32_t>());
  }
  return numbers;
}

std::int32_t number_of(const Numbers& numbers, const std::string& text, std::size_t line,
                       const Gpt2Files& files) {
  const auto found = numbers.find(text);
  if (found != numbers.end()) return found->second;
  refuse(files.merges, "line " + std::to_string(line) + ": the token " + shown(text) +
                           " is not in " + files.tokens.string());
}

std::vector<Gpt2Tokens::Joint> read_merges(const Gpt2Files& files, const Numbers& numbers) {
  const MappedFile mapped(files.merges);
  check_utf8(mapped.bytes(), files.merges);
  std::vector<Gpt2Tokens::Joint> merges;
  auto rest = without_mark(mapped.bytes());
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const auto space = line.find(' ');
    const std::string left(line.substr(0, space));
    const std::string right(space == line.npos ? "" : line.substr(space + 1));
    if (left.empty() || right.empty() || right.find(' ') != right.npos)
      refuse(files.merges, "line " + std::to_string(number) +
                               ": must be two tokens with one space between them, got " +
                               shown(std::string(line)));
    merges.push_back({.left = number_of(numbers, left, number, files),
                      .right = number_of(numbers, right, number, files),
                      .token = number_of(numbers, left + right, number, files)});
  }
  return merges;
}

bool looks_special(const std::string& text) {
  return text.size() > 2 && ((text.front() == '<' && text.back() == '>') ||
                             (text.front() == '[' && text.back() == ']'));
}

// The tokens that are no bytes and that no merge makes.
std::vector<Gpt2Tokens::Special> special_tokens(const Gpt2Tokens& tokens, const Numbers& numbers,
                                                const Gpt2Files& files) {
  std::vector<bool> is_made(numbers.size());
  for (const auto token : tokens.bytes) is_made[static_cast<std::size_t>(token)] = true;
  for (const auto& merge : tokens.merges) is_made[static_cast<std::size_t>(merge.token)] = true;
  std::vector<Gpt2Tokens::Special> special;
  std::vector<std::pair<std::int32_t, std::string>> lost;
  for (const auto& [text, number] : numbers) {
    if (is_made[static_cast<std::size_t>(number)]) continue;
    if (looks_special(text)) {
      special.push_back({number, text});
    } else {
      lost.emplace_back(number, text);
    }
  }
  std::ranges::sort(special, {}, &Gpt2Tokens::Special::token);
  if (lost.empty()) return special;
  std::ranges::sort(lost);
  refuse(files.merges, "makes " + std::to_string(lost.size()) + " of the " +
                           std::to_string(numbers.size()) + " tokens of " + files.tokens.string() +
                           " not, such as " + shown(lost[0].second));
}

struct Names {
  const char* tokens;
  const char* merges;
};
constexpr std::array<Names, 2> kNames = {
    {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}}};

// The pair that a file belongs to by its name, NAME-vocab.json or NAME-merges.txt.
std::optional<Gpt2Files> pair_of(const fs::path& file) {
  const auto name = file.filename().string();
  for (const auto& [tokens, merges] : kNames) {
    for (const std::string_view end : {tokens, merges}) {
      if (!name.ends_with(end)) continue;
      const auto begin = name.substr(0, name.size() - end.size());
      if (!begin.empty() && begin.back() != '-') continue;
      return Gpt2Files{file.parent_path() / (begin + tokens),
                       file.parent_path() / (begin + merges)};
    }
  }
  return std::nullopt;
}

bool is_own_vocabulary(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && MappedFile(file).bytes().substr(0, 100).find(
                                                 "ampersand-vocabulary") != std::string_view::npos;
}

Gpt2Files files_in(const fs::path& folder) {
  std::vector<Gpt2Files> pairs;
  for (const auto& entry : entries_of(folder)) {
    const auto pair = pair_of(entry);
    std::error_code error;
    if (pair && entry == pair->tokens && fs::exists(pair->merges, error)) pairs.push_back(*pair);
  }
  if (pairs.size() == 1) return pairs[0];
  if (pairs.empty()) throw amp::IoError(folder, std::string("holds no vocabulary; ") + kPair);
  throw amp::IoError(folder, "holds " + std::to_string(pairs.size()) +
                                 " vocabularies; name one by its file, such as " +
                                 pairs[0].tokens.string());
}

}  // namespace

std::optional<Gpt2Files> find_gpt2_files(const fs::path& what) {
  std::error_code error;
  if (fs::is_directory(what, error)) return files_in(what);
  const auto pair = pair_of(what);
  if (!pair || !fs::exists(what, error)) return pair;
  if (is_own_vocabulary(what)) return std::nullopt;
  const auto& other = pair->tokens.filename() == what.filename() ? pair->merges : pair->tokens;
  if (!fs::exists(other, error))
    throw amp::IoError(what, "must have " + other.filename().string() + " beside it; " + kPair);
  return pair;
}

Vocabulary load_gpt2_vocabulary(const Gpt2Files& files) {
  const auto numbers = read_numbers(files.tokens);
  Gpt2Tokens tokens;
  const auto letters = letters_of_bytes();
  for (std::size_t byte = 0; byte < letters.size(); ++byte) {
    const auto found = numbers.find(letters[byte]);
    if (found == numbers.end())
      throw amp::IoError(files.tokens, "has no token " + shown(letters[byte]) + " for the byte " +
                                           std::to_string(byte) +
                                           "; train it with "
                                           "initial_alphabet=ByteLevel.alphabet()");
    tokens.bytes[byte] = found->second;
  }
  tokens.merges = read_merges(files, numbers);
  tokens.special = special_tokens(tokens, numbers, files);
  try {
    return Vocabulary::from_gpt2(std::move(tokens));
  } catch (const amp::InvalidArgument& error) {
    refuse(files.merges, error.what());
  }
}

}  // namespace ampersand
