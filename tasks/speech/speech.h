// A model of speech: convolutions over a spectrogram, a bidirectional LSTM, and CTC.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tasks/common/task_settings.h"

namespace ampersand {

struct SpeechOptions {
  std::int64_t bands = 40;     // of a frame of the spectrogram
  std::int64_t labels = 11;    // characters and CTC's blank, label 0
  std::int64_t channels = 32;  // of the convolutions
  std::int64_t layers = 2;     // of the LSTM
  std::int64_t width = 128;    // of a cell's state, in each direction
  double dropout = 0;          // of each layer's input and of the last one's output
};

// x = relu(conv2(relu(conv1(frames)))), each 3 x 3 over time and bands with stride 2, so that a
// quarter of the frames remains; then layers of an LSTM each way over the rows of x, their outputs
// side by side; then a linear layer to logits. What lies behind a recording's end is set to 0 before
// every layer that would see it, and the backward LSTM begins at each recording's own last frame, so
// that padding changes no result.
//
// Source: Graves et al. 2006, "Connectionist temporal classification"; Amodei et al. 2016, "Deep
// Speech 2", sections 3.1 to 3.5 (convolutions before bidirectional recurrent layers).
class Speech : public torch::nn::Module {
 public:
  // Throws amp::InvalidArgument for options that are out of range.
  explicit Speech(const SpeechOptions& options);

  // frames: [batch, time, bands], floating-point; lengths: [batch], int64, on any device, frames of
  // each recording, 1 to time. Returns logits [batch, output_length(time), labels]; those behind a
  // recording's output_length mean nothing. Waits for the device where lengths are on one. Throws
  // amp::InvalidArgument for other shapes, dtypes and lengths.
  at::Tensor forward(const at::Tensor& frames, const at::Tensor& lengths);

  // Rows of logits for so many frames: a quarter, rounded up.
  static std::int64_t output_length(std::int64_t frames) { return (frames + 3) / 4; }

  const SpeechOptions& options() const { return options_; }

 private:
  SpeechOptions options_;
  torch::nn::Conv2d conv1_, conv2_;
  torch::nn::ModuleList layers_;
  torch::nn::Dropout drop_;
  torch::nn::Linear output_;
};

// CTC's loss: the mean over recordings of -ln p(labels | logits) / number of labels, in fp32, for
// which alone LibTorch has a kernel. logits: [batch, time, labels]; lengths: rows of logits that count;
// labels: [batch, longest], int64, from 1 on; label_lengths: [batch], int64, on any device. It is
// infinite for a recording that is too short for its labels.
at::Tensor ctc_loss(const at::Tensor& logits, const std::vector<std::int64_t>& lengths,
                    const at::Tensor& labels, const at::Tensor& label_lengths);

// A Speech as the program trains it; inputs: frames and lengths; targets: labels and their lengths; the
// loss is that of the outputs of the last forward. Sizes that are 0 are those of `options`. Throws amp::InvalidArgument for sizes that it does not have.
amp::TaskModel make_speech(SpeechOptions options, const ModelSizes& sizes);

}  // namespace ampersand
