// What a model's tokens or labels stand for, which its weights depend on.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "amp/task.h"

namespace ampersand {

// For the metadata of a safetensors file: {"vocabulary": name, "vocabulary_fingerprint": fingerprint}.
std::map<std::string, std::string> metadata_of(const amp::TokenMeaning& meaning);

// Whether a file of weights, or the checkpoint that it is a part of, tells the same; false: it tells
// nothing, or cannot be read. Throws amp::InvalidArgument, with both names, for one that tells
// something else.
bool has_meaning(const std::filesystem::path& weights, const amp::TokenMeaning& own);

}  // namespace ampersand
