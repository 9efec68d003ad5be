// Finding and opening the text that a name stands for.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/text/text_hashes.h"

namespace ampersand {

// UTF-8, not empty as a whole: the pieces are its files, in order, without the empty ones. They lie
// in what `owner` keeps.
struct TextFiles {
  std::string name;
  std::vector<std::string_view> pieces;
  std::shared_ptr<const void> owner;
  TextHashes hashes = {};  // of all pieces
};

// Opens kjv, a file or all files of a folder, as load_text (tasks/text/text_data.h) describes it.
// Throws amp::IoError as it does.
TextFiles open_text(const std::string& what);

}  // namespace ampersand
