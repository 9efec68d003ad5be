// What a model's tokens or labels stand for, which its weights depend on.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ampersand {

struct TokenMeaning {
  std::string kind;         // "vocabulary" or "alphabet"
  std::string name;         // "bpe-300", "28 characters"
  std::string fingerprint;  // XXH3-128: equal where the tokens mean the same
};

// Of a task that `state` (Task::state) was kept of; nothing for images.
std::optional<TokenMeaning> token_meaning(const nlohmann::json& state);

// For the metadata of a safetensors file: {"vocabulary": name, "vocabulary_fingerprint": fingerprint}.
std::map<std::string, std::string> metadata_of(const TokenMeaning& meaning);

// Whether a file of weights, or the checkpoint that it is a part of, tells the same; false: it tells
// nothing, or cannot be read. Throws amp::InvalidArgument, with both names, for one that tells
// something else.
bool has_meaning(const std::filesystem::path& weights, const TokenMeaning& own);

}  // namespace ampersand
