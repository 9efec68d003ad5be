// Vocabularies in GPT-2's two files.
#pragma once

#include <filesystem>
#include <optional>

#include "tasks/text/vocabulary.h"

namespace ampersand {

struct Gpt2Files {
  std::filesystem::path tokens;  // vocab.json: an object of each token's number by its text
  std::filesystem::path merges;  // merges.txt: "left right" a line, the first merge first
};

// The pair that `what` names: a folder with vocab.json and merges.txt, or one of the two files. Their
// names may begin with NAME-, and encoder.json and vocab.bpe, the names of the published files, are
// taken, too. Nothing for what has another name. Throws amp::IoError where one of a pair is missing,
// and for a folder that has none or several.
std::optional<Gpt2Files> find_gpt2_files(const std::filesystem::path& what);

// Texts are written with GPT-2's letters for bytes. A token that is no byte and that no merge makes is
// special, and must look it: <...> or [...]. The first line of the merges may be "#version: 0.2".
//
// Throws amp::IoError, naming the file, for one that cannot be read or is not of this form; for a token
// of a byte that is missing, numbers with gaps, a merge of tokens that are not there, and tokens
// that no merge makes.
//
// Source: Radford et al. 2019 (GPT-2), encoder.py of the published code; PyPI's tokenizers,
// ByteLevelBPETokenizer.save_model.
Vocabulary load_gpt2_vocabulary(const Gpt2Files& files);

}  // namespace ampersand
