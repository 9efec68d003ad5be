// The options that the program's own tasks have.
#pragma once

#include <cstdint>
#include <string>

#include "amp/task.h"

namespace ampersand {

using amp::Batch;
using amp::Batches;

// How large a model is. 0, or an empty preset: its own default.
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

struct TaskSettings {
  std::string data;
  std::int64_t train_samples = 0;  // use the first N; 0: all
  std::int64_t test_samples = 0;
  ModelSizes sizes = {};
  std::int64_t context = 256;        // tokens in a sample of text
  std::string vocabulary = "bytes";  // bytes, bpe-N, or a vocabulary's file
  double held_out = 0.1;             // share of a text that is for testing
  bool augment = false;              // random crop and flip of the training images
  bool channels_last = false;
};

TaskSettings task_settings(const amp::TaskOptions& options);

}  // namespace ampersand
