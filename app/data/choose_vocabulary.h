// The vocabulary that `--vocabulary` names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "app/data/vocabulary.h"

namespace ampersand {

// `given` where there is one; else what `name` says: "bytes", "bpe-N" (at most N tokens, learned
// from `texts`) or the path of a vocabulary file. Of more than 256 MiB of text, 256 stretches of 1
// MiB spread evenly over it are learned from.
//
// Throws amp::InvalidArgument for another name, for an N out of range and for nothing to learn
// from; amp::IoError as Vocabulary::load does.
Vocabulary choose_vocabulary(const std::string& name, const std::optional<Vocabulary>& given,
                             std::span<const std::string_view> texts);

}  // namespace ampersand
