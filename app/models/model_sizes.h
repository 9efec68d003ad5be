// How large a built-in language model is.
#pragma once

#include <cstdint>
#include <string>

namespace ampersand {

// 0, or an empty preset: the model's own default.
struct ModelSizes {
  std::string preset = {};  // gpt: gpt2, gpt2-medium, gpt2-large or gpt2-xl
  std::int64_t layers = 0;
  std::int64_t width = 0;  // gpt, seq2seq: of the residual stream; lstm, speech: of a cell's state
  std::int64_t heads = 0;  // gpt, seq2seq
  std::int64_t embedding = 0;   // lstm: of a token, where it is not the width
  std::int64_t projection = 0;  // lstm: of a cell's output; 0: none
  double dropout = 0;
  bool untied = false;  // gpt: the output has its own weights
  bool tied = false;    // lstm: the output has the embedding's weights
};

}  // namespace ampersand
