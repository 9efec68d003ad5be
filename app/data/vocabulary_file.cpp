// Vocabularies as JSON files, and what tells two apart.
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "amp/error.h"
#include "app/data/mapped_file.h"
#include "app/data/token_pairs.h"
#include "app/data/utf8.h"
#include "app/data/vocabulary.h"
#include "app/files/write_file.h"
#include "src/files/hash.h"
#include "src/files/strict_json.h"

namespace ampersand {
namespace {

constexpr std::string_view kFormat = "ampersand-vocabulary";
constexpr int kVersion = 1;
constexpr int kDepth = 3;  // object, list of merges, merge

std::string_view kind_name(Vocabulary::Kind kind) {
  return kind == Vocabulary::Kind::bytes ? "bytes" : "bpe";
}

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

std::string merge_line(const TokenPair& merge, const std::string& bytes) {
  return "[" + std::to_string(merge.first) + ", " + std::to_string(merge.second) + ", " +
         nlohmann::json(readable(bytes)).dump() + "]";
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw amp::IoError(path, why + "; give a file that was saved beside a checkpoint");
}

void check_header(const nlohmann::json& file, const std::filesystem::path& path) {
  if (!file.is_object() || file.value("format", nlohmann::json()) != kFormat) {
    refuse(path, "not a vocabulary: its format must be " + std::string(kFormat));
  }
  if (file.value("version", nlohmann::json()) != kVersion) {
    refuse(path, "the version of a vocabulary must be " + std::to_string(kVersion) + ", got " +
                     file.value("version", nlohmann::json()).dump());
  }
}

TokenPair read_merge(const nlohmann::json& merge, const std::filesystem::path& path) {
  const auto is_token = [](const nlohmann::json& value) {
    return value.is_number_unsigned() && value < Vocabulary::kMostTokens;
  };
  if (!merge.is_array() || merge.size() != 3 || !is_token(merge[0]) || !is_token(merge[1])) {
    refuse(path, "a merge must be [left token, right token, text], got " +
                     amp::files::shown(
                         merge.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
  }
  return {merge[0].get<std::int32_t>(), merge[1].get<std::int32_t>()};
}

Vocabulary read_vocabulary(const nlohmann::json& file, const std::filesystem::path& path) {
  const auto kind = file.value("kind", nlohmann::json());
  if (kind == kind_name(Vocabulary::Kind::bytes)) return Vocabulary::bytes();
  const auto merges = file.value("merges", nlohmann::json());
  if (kind != kind_name(Vocabulary::Kind::bpe) || !merges.is_array()) {
    refuse(path, "a vocabulary must be of kind bytes, or of kind bpe with a list of merges");
  }
  std::vector<TokenPair> pairs;
  for (const auto& merge : merges) pairs.push_back(read_merge(merge, path));
  try {
    return Vocabulary::from_merges(std::move(pairs));
  } catch (const amp::InvalidArgument& error) {
    refuse(path, error.what());
  }
}

}  // namespace

std::string Vocabulary::fingerprint() const {
  amp::files::Hash hash;
  const std::string kind(kind_name(kind_));
  hash.add(kind.c_str(), kind.size() + 1);
  for (const auto& [left, right] : merges_) {  // eight bytes each, little-endian everywhere
    std::array<unsigned char, 8> bytes{};
    for (int i = 0; i < 4; ++i) {
      bytes[i] = static_cast<unsigned char>(left >> (8 * i));
      bytes[4 + i] = static_cast<unsigned char>(right >> (8 * i));
    }
    hash.add(bytes.data(), bytes.size());
  }
  return hash.hex();
}

void Vocabulary::save(const std::filesystem::path& path) const {
  std::string text = "{\n\"format\": \"" + std::string(kFormat) +
                     "\",\n\"version\": " + std::to_string(kVersion) + ",\n\"kind\": \"" +
                     std::string(kind_name(kind_)) + "\",\n\"size\": " + std::to_string(size()) +
                     ",\n\"fingerprint\": \"" + fingerprint() + "\",\n\"merges\": [";
  for (std::size_t k = 0; k < merges_.size(); ++k) {
    text += (k == 0 ? "\n" : ",\n") + merge_line(merges_[k], bytes_[kByteTokens + k]);
  }
  write_file(path, text + "\n]\n}\n");
}

Vocabulary Vocabulary::load(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  check_utf8(mapped.bytes(), path);
  const auto file =
      amp::files::parse_strictly(without_mark(mapped.bytes()), path, "the vocabulary", kDepth);
  check_header(file, path);
  Vocabulary vocabulary = read_vocabulary(file, path);
  const auto fingerprint = file.value("fingerprint", nlohmann::json());
  if (fingerprint != vocabulary.fingerprint() ||
      file.value("size", nlohmann::json()) != vocabulary.size()) {
    refuse(path, "the merges are not those that its size and fingerprint were written for");
  }
  return vocabulary;
}

std::string vocabulary_name(const Vocabulary& vocabulary) {
  const std::string kind(kind_name(vocabulary.kind()));
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
