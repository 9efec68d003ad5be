// Learning byte pairs from the words of a text.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tasks/text/vocabulary.h"

namespace ampersand {

// At most `count` merges, in the order in which they were learned, as Vocabulary::train describes
// it. Every word is looked at once for each merge that changes it, not once for each merge; memory
// grows with the number of different words.
std::vector<TokenPair> learn_merges(std::span<const std::string_view> texts, std::int64_t count);

}  // namespace ampersand
