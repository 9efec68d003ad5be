// The vocabulary that `--vocabulary` names.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/text/vocabulary.h"

namespace ampersand {

// What to learn from: all of the texts, or, where they are longer than stretches x bytes, that many
// stretches of at most so many bytes, begun evenly over the whole.
std::vector<std::string_view> sample(std::span<const std::string_view> texts, std::size_t stretches,
                                     std::size_t bytes);

// `given` where there is one; else what `name` says: "bytes", "bpe-N" (at most N tokens, learned
// from `texts`), the path of a vocabulary file, or GPT-2's files (find_gpt2_files). Of more than 256 MiB of text, 256 stretches of 1
// MiB spread evenly over it are learned from.
//
// Throws amp::InvalidArgument for another name, for an N out of range and for nothing to learn
// from; amp::IoError as Vocabulary::load and load_gpt2_vocabulary do.
Vocabulary choose_vocabulary(const std::string& name, const std::optional<Vocabulary>& given,
                             std::span<const std::string_view> texts);

}  // namespace ampersand
