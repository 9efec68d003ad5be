// Text for language models: from a file, a folder or Debian's King James Bible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tasks/text/token_stream.h"
#include "tasks/text/vocabulary.h"

namespace ampersand {

struct TextOptions {
  // "bytes"; "bpe-N": byte pairs with at most N tokens, learned from the training part; or the path
  // of a file that Vocabulary::save wrote, or of GPT-2's files.
  std::string vocabulary = "bytes";
  std::optional<Vocabulary> given = {};  // to use instead: a resumed run's, a trained model's
  double held_out = 0.1;                 // the share of the text's end that is for testing, 0 to 1
  std::int64_t limit_train = 0;          // the first tokens of each part; 0: all
  std::int64_t limit_test = 0;
};

// The training part and the held-out part; a part may be empty where held_out is 0 or 1.
struct TextData {
  std::string name;
  Vocabulary vocabulary;
  TokenStream train;
  TokenStream test;
  std::string train_hash = {}, test_hash = {};  // XXH3-128 of each part's text, whatever the limits
};

// Loads the text that `what` names:
//   kjv     the King James Bible as Debian's packages bible-kjv and bible-kjv-text hold it, or the
//           text file that the environment variable AMPERSAND_KJV names (tasks/text/kjv.h)
//   FILE    a UTF-8 file
//   FOLDER  every file below it, in the order of their paths as bytes, one after the other
// The held-out part begins at the first line after 1 - held_out of the bytes; where there is none,
// at the last line before; in a text of one line, at the next character. Text is mapped from its
// files, and byte-pair tokens from a temporary file, so it may be larger than memory. Of more than
// 256 MiB of training text the vocabulary is learned from 256 stretches spread evenly over it.
//
// Throws amp::IoError for a text that is missing, cannot be read, is empty or is not UTF-8 (with
// the byte where it ceases to be), and for what a folder holds that is neither file nor folder;
// amp::InvalidArgument for options out of their range.
TextData load_text(const std::string& what, const TextOptions& options = {});

// Throws amp::InvalidArgument unless each part that is not empty holds a window of `context`
// tokens, that is context + 1 tokens, and for a context below 1.
void check_context(const TextData& data, std::int64_t context);

}  // namespace ampersand
