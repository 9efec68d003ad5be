// The tokens of a vocabulary that numbers them itself.
#pragma once

#include <string>
#include <vector>

#include "tasks/text/vocabulary.h"

namespace ampersand {

// What each token stands for. Throws amp::InvalidArgument as Vocabulary::from_gpt2 does, but for merges
// that are there twice.
std::vector<std::string> texts_of(const Gpt2Tokens& tokens);

}  // namespace ampersand
