// Vocabularies as JSON files, and what tells two apart.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "amp/error.h"
#include "app/files/mapped_file.h"
#include "app/files/utf8.h"
#include "app/files/write_file.h"
#include "src/files/hash.h"
#include "src/files/strict_json.h"
#include "tasks/text/token_pairs.h"
#include "tasks/text/vocabulary.h"

namespace ampersand {
namespace {

constexpr std::string_view kFormat = "ampersand-vocabulary";
constexpr int kVersion = 1;
constexpr int kDepth = 3;  // object, list of merges, merge

// A token as a reader of the file may recognise it: bytes that are no characters as \xNN.
std::string readable(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  while (!bytes.empty()) {
    const auto valid = find_invalid_utf8(bytes).value_or(bytes.size());
    text += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    const auto byte = static_cast<unsigned char>(bytes[0]);
    text += std::string("\\x") + digits[byte >> 4] + digits[byte & 0xf];
    bytes.remove_prefix(1);
  }
  return text;
}

// [left, right, text], and of kind gpt2 the token, too.
std::string merge_line(std::int32_t left, std::int32_t right, const std::string& bytes) {
  return "[" + std::to_string(left) + ", " + std::to_string(right) + ", " +
         nlohmann::json(readable(bytes)).dump();
}

std::string merge_lines(const Vocabulary& vocabulary) {
  std::vector<std::string> lines;
  for (const auto& [left, right] : vocabulary.merges())
    lines.push_back(merge_line(left, right, vocabulary.bytes_of(kByteTokens + std::ssize(lines))) +
                    "]");
  for (const auto& [left, right, token] : vocabulary.gpt2_tokens().merges)
    lines.push_back(merge_line(left, right, vocabulary.bytes_of(token)) + ", " +
                    std::to_string(token) + "]");
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "\n" : ",\n") + line;
  return text;
}

[[noreturn]] void refuse_file(const std::filesystem::path& path, const std::string& why) {
  throw amp::IoError(path, why + "; give a file that was saved beside a checkpoint");
}

void check_header(const nlohmann::json& file, const std::filesystem::path& path) {
  if (!file.is_object() || file.value("format", nlohmann::json()) != kFormat) {
    refuse_file(path, "not a vocabulary: its format must be " + std::string(kFormat));
  }
  if (file.value("version", nlohmann::json()) != kVersion) {
    refuse_file(path, "the version of a vocabulary must be " + std::to_string(kVersion) + ", got " +
                          file.value("version", nlohmann::json()).dump());
  }
}

bool is_token(const nlohmann::json& value) {
  return value.is_number_unsigned() && value < Vocabulary::kMostTokens;
}

[[noreturn]] void refuse_entry(const nlohmann::json& entry, const std::string& rule,
                               const std::filesystem::path& path) {
  refuse_file(path, rule + ", got " +
                        amp::files::shown(
                            entry.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
}

TokenPair read_merge(const nlohmann::json& merge, const std::filesystem::path& path) {
  if (!merge.is_array() || merge.size() != 3 || !is_token(merge[0]) || !is_token(merge[1])) {
    refuse_entry(merge, "a merge must be [left token, right token, text]", path);
  }
  return {merge[0].get<std::int32_t>(), merge[1].get<std::int32_t>()};
}

Gpt2Tokens read_gpt2(const nlohmann::json& file, const std::filesystem::path& path) {
  const auto bytes = file.value("bytes", nlohmann::json()),
             special = file.value("special", nlohmann::json()),
             merges = file.value("merges", nlohmann::json());
  Gpt2Tokens tokens;
  if (!bytes.is_array() || bytes.size() != tokens.bytes.size() ||
      !std::ranges::all_of(bytes, is_token) || !special.is_array() || !merges.is_array())
    refuse_file(path,
                "a vocabulary of kind gpt2 must have the tokens of the 256 bytes, special tokens "
                "and merges");
  std::ranges::transform(bytes, tokens.bytes.begin(),
                         [](const auto& token) { return token.template get<std::int32_t>(); });
  for (const auto& it : special) {
    if (!it.is_array() || it.size() != 2 || !is_token(it[0]) || !it[1].is_string())
      refuse_entry(it, "a special token must be [token, text]", path);
    tokens.special.push_back({it[0].get<std::int32_t>(), it[1].get<std::string>()});
  }
  for (const auto& it : merges) {
    if (!it.is_array() || it.size() != 4 || !is_token(it[0]) || !is_token(it[1]) ||
        !is_token(it[3]))
      refuse_entry(it, "a merge must be [left token, right token, text, token]", path);
    tokens.merges.push_back(
        {it[0].get<std::int32_t>(), it[1].get<std::int32_t>(), it[3].get<std::int32_t>()});
  }
  return tokens;
}

Vocabulary read_vocabulary(const nlohmann::json& file, const std::filesystem::path& path) {
  const auto kind = file.value("kind", nlohmann::json());
  if (kind == kind_name(Vocabulary::Kind::bytes)) return Vocabulary::bytes();
  if (kind == kind_name(Vocabulary::Kind::gpt2))
    return Vocabulary::from_gpt2(read_gpt2(file, path));
  const auto merges = file.value("merges", nlohmann::json());
  if (kind != kind_name(Vocabulary::Kind::bpe) || !merges.is_array()) {
    refuse_file(
        path,
        "a vocabulary must be of kind bytes, of kind gpt2, or of kind bpe with a list of merges");
  }
  std::vector<TokenPair> pairs;
  for (const auto& merge : merges) pairs.push_back(read_merge(merge, path));
  return Vocabulary::from_merges(std::move(pairs));
}

// What tells a JSON file of others: tokenizer.json begins with these.
void refuse_tokenizer(std::string_view text, const std::filesystem::path& path) {
  if (text.substr(0, 256).find("\"truncation\"") == text.npos) return;
  throw amp::IoError(path,
                     "is a tokenizer.json, which is not read; give a folder with vocab.json and "
                     "merges.txt, which tokenizer.model.save(FOLDER) writes");
}

// Four bytes, little-endian everywhere.
void add_number(amp::files::Hash& hash, std::size_t number) {
  std::array<unsigned char, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<unsigned char>(number >> (8 * i));
  hash.add(bytes.data(), bytes.size());
}

}  // namespace

std::string Vocabulary::fingerprint() const {
  amp::files::Hash hash;
  const auto kind = kind_name(kind_);
  hash.add(kind.c_str(), kind.size() + 1);
  const auto add = [&](std::int32_t token) { add_number(hash, static_cast<std::size_t>(token)); };
  for (const auto& [left, right] : merges_) {
    add(left);
    add(right);
  }
  if (kind_ != Kind::gpt2) return hash.hex();
  for (const auto token : gpt2_.bytes) add(token);
  for (const auto& [token, text] : gpt2_.special) {
    add(token);
    add_number(hash, text.size());
    hash.add(text.data(), text.size());
  }
  for (const auto& [left, right, token] : gpt2_.merges) {
    add(left);
    add(right);
    add(token);
  }
  return hash.hex();
}

void Vocabulary::save(const std::filesystem::path& path) const {
  std::string text = "{\n\"format\": \"" + std::string(kFormat) +
                     "\",\n\"version\": " + std::to_string(kVersion) + ",\n\"kind\": \"" +
                     kind_name(kind_) + "\",\n\"size\": " + std::to_string(size()) +
                     ",\n\"fingerprint\": \"" + fingerprint() + "\",\n";
  if (kind_ == Kind::gpt2) {
    auto special = nlohmann::json::array();
    for (const auto& it : gpt2_.special) special.push_back({it.token, it.text});
    text += "\"bytes\": " + nlohmann::json(gpt2_.bytes).dump() +
            ",\n\"special\": " + special.dump() + ",\n";
  }
  write_file(path, text + "\"merges\": [" + merge_lines(*this) + "\n]\n}\n");
}

Vocabulary Vocabulary::load(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  check_utf8(mapped.bytes(), path);
  refuse_tokenizer(mapped.bytes(), path);
  const auto file =
      amp::files::parse_strictly(without_mark(mapped.bytes()), path, "the vocabulary", kDepth);
  check_header(file, path);
  Vocabulary vocabulary = [&] {
    try {
      return read_vocabulary(file, path);
    } catch (const amp::InvalidArgument& error) {
      refuse_file(path, error.what());
    }
  }();
  const auto fingerprint = file.value("fingerprint", nlohmann::json());
  if (fingerprint != vocabulary.fingerprint() ||
      file.value("size", nlohmann::json()) != vocabulary.size()) {
    refuse_file(path, "the merges are not those that its size and fingerprint were written for");
  }
  return vocabulary;
}

std::string kind_name(Vocabulary::Kind kind) {
  if (kind == Vocabulary::Kind::bytes) return "bytes";
  return kind == Vocabulary::Kind::bpe ? "bpe" : "gpt2";
}

std::string vocabulary_name(const Vocabulary& vocabulary) {
  const auto kind = kind_name(vocabulary.kind());
  return vocabulary.kind() == Vocabulary::Kind::bytes
             ? kind
             : kind + "-" + std::to_string(vocabulary.size());
}

void check_fingerprint(const Vocabulary& vocabulary, const std::string& fingerprint,
                       const std::string& who) {
  if (vocabulary.fingerprint() == fingerprint) return;
  throw amp::InvalidArgument(who +
                             ": the vocabulary must be the one it was trained with "
                             "(fingerprint " +
                             fingerprint + "), got " + vocabulary_name(vocabulary) +
                             " from another text (" + vocabulary.fingerprint() +
                             "); use the file saved beside the checkpoint");
}

}  // namespace ampersand
