// A vocabulary in what a checkpoint remembers of a task.
#include "app/tasks/stored_vocabulary.h"

#include <vector>

namespace ampersand {

using nlohmann::json;

json vocabulary_json(const Vocabulary& vocabulary) {
  auto merges = json::array();
  for (const auto& [left, right] : vocabulary.merges()) merges.push_back({left, right});
  return {{"kind", vocabulary.kind() == Vocabulary::Kind::bytes ? "bytes" : "bpe"},
          {"fingerprint", vocabulary.fingerprint()},
          {"merges", merges}};
}

Vocabulary stored_vocabulary(const json& state) {
  const auto& stored = state.at("vocabulary");
  auto vocabulary =
      stored.at("kind") == "bytes"
          ? Vocabulary::bytes()
          : Vocabulary::from_merges(stored.at("merges").get<std::vector<TokenPair>>());
  check_fingerprint(vocabulary, stored.at("fingerprint"), "the model of this run");
  return vocabulary;
}

}  // namespace ampersand
