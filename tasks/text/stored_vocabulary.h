// A vocabulary in what a checkpoint remembers of a task.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "amp/task.h"
#include "tasks/text/vocabulary.h"

namespace ampersand {

nlohmann::json vocabulary_json(const Vocabulary& vocabulary);

// The one that vocabulary_json has put into a task's state as "vocabulary". Throws
// amp::InvalidArgument where it does not fit its fingerprint.
Vocabulary stored_vocabulary(const nlohmann::json& state);

// What its tokens are, for TaskInfo::token_meaning.
std::optional<amp::TokenMeaning> vocabulary_meaning(const std::string& state);

}  // namespace ampersand
