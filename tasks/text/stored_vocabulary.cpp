// A vocabulary in what a checkpoint remembers of a task.
#include "tasks/text/stored_vocabulary.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace ampersand {
namespace {

using nlohmann::json;

Gpt2Tokens stored_gpt2_tokens(const json& stored) {
  Gpt2Tokens tokens{.bytes = stored.at("bytes")};
  for (const auto& it : stored.at("merges"))
    tokens.merges.push_back({it.at(0), it.at(1), it.at(2)});
  for (const auto& it : stored.at("special")) tokens.special.push_back({it.at(0), it.at(1)});
  return tokens;
}

Vocabulary made_again(const json& stored) {
  if (stored.at("kind") == "bytes") return Vocabulary::bytes();
  if (stored.at("kind") == "gpt2") return Vocabulary::from_gpt2(stored_gpt2_tokens(stored));
  return Vocabulary::from_merges(stored.at("merges").get<std::vector<TokenPair>>());
}

}  // namespace

json vocabulary_json(const Vocabulary& vocabulary) {
  auto merges = json::array();
  for (const auto& [left, right] : vocabulary.merges()) merges.push_back({left, right});
  json stored = {{"kind", kind_name(vocabulary.kind())}, {"fingerprint", vocabulary.fingerprint()}};
  if (vocabulary.kind() == Vocabulary::Kind::gpt2) {
    const auto& tokens = vocabulary.gpt2_tokens();
    for (const auto& [left, right, token] : tokens.merges) merges.push_back({left, right, token});
    stored["bytes"] = tokens.bytes;
    stored["special"] = json::array();
    for (const auto& it : tokens.special) stored["special"].push_back({it.token, it.text});
  }
  stored["merges"] = std::move(merges);
  return stored;
}

Vocabulary stored_vocabulary(const json& state) {
  const auto& stored = state.at("vocabulary");
  auto vocabulary = made_again(stored);
  check_fingerprint(vocabulary, stored.at("fingerprint"), "the model of this run");
  return vocabulary;
}

std::optional<amp::TokenMeaning> vocabulary_meaning(const std::string& state) {
  const auto vocabulary = stored_vocabulary(json::parse(state));
  return amp::TokenMeaning{.kind = "vocabulary",
                           .name = vocabulary_name(vocabulary),
                           .fingerprint = vocabulary.fingerprint(),
                           .remedy = [](const std::string& name) -> std::string {
                             if (name == "bytes") return "give --vocabulary bytes";
                             return "give --vocabulary the vocabulary.json of their run";
                           }};
}

}  // namespace ampersand
