// The model of speech from torch::nn's modules.
#include "tasks/speech/speech.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ctc_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/where.h>
#include <torch/nn/modules/rnn.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <tuple>

#include "amp/error.h"
#include "tasks/common/size_options.h"
#include "tasks/common/tokens.h"

namespace ampersand {
namespace {

namespace nn = torch::nn;

const SpeechOptions& checked(const SpeechOptions& options) {
  check_at_least_one("Speech", "bands", options.bands);
  check_at_least_one("Speech", "labels", options.labels);
  check_at_least_one("Speech", "channels", options.channels);
  check_at_least_one("Speech", "layers", options.layers);
  check_at_least_one("Speech", "width", options.width);
  check_dropout("Speech", options.dropout);
  return options;
}

nn::Conv2d halving(std::int64_t in, std::int64_t out) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(2).padding(1));
}

// [batch, time], bool: whether a row is one of the recording's.
at::Tensor rows_within(const at::Tensor& lengths, std::int64_t time) {
  return at::arange(time, lengths.options()).unsqueeze(0).lt(lengths.unsqueeze(1));
}

at::Tensor halved(const at::Tensor& lengths) { return lengths.add(1).floor_divide(2); }

// x: [batch, channels, time, bands]; rows behind the end become 0, as the convolution's own padding.
at::Tensor cleared(const at::Tensor& x, const at::Tensor& lengths) {
  const auto outside = rows_within(lengths, x.size(2)).logical_not();
  return x.masked_fill(outside.unsqueeze(1).unsqueeze(3), 0);
}

// [batch, time]: where each row of the reversed recordings is from; padding stays where it is.
at::Tensor reversal(const at::Tensor& lengths, std::int64_t time) {
  const auto rows = at::arange(time, lengths.options()).unsqueeze(0);
  return at::where(rows_within(lengths, time), lengths.unsqueeze(1) - 1 - rows, rows);
}

at::Tensor reordered(const at::Tensor& x, const at::Tensor& order) {
  return x.gather(1, order.unsqueeze(2).expand_as(x));
}

// One LSTM forward in time and one backward. One of two directions over a packed sequence would do the
// same, but has neither a oneDNN kernel on the CPU nor the fast policy's low-precision one.
class BothWays : public nn::Module {
 public:
  BothWays(std::int64_t inputs, std::int64_t width)
      : forward_(register_module("forward", layer(inputs, width))),
        backward_(register_module("backward", layer(inputs, width))) {}

  // order: the reversal of the recordings' rows.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& order) {
    const auto ahead = std::get<0>(forward_(x));
    const auto back = std::get<0>(backward_(reordered(x, order)));
    return at::cat({ahead, reordered(back, order)}, 2);
  }

 private:
  static nn::LSTM layer(std::int64_t inputs, std::int64_t width) {
    return nn::LSTM(nn::LSTMOptions(inputs, width).batch_first(true));
  }

  nn::LSTM forward_, backward_;
};

std::string shown(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
  return text.str();
}

void check_inputs(const at::Tensor& frames, const at::Tensor& lengths, std::int64_t bands) {
  if (frames.dim() != 3 || frames.size(2) != bands || frames.numel() == 0 ||
      !frames.is_floating_point()) {
    throw amp::InvalidArgument("Speech: frames must be floating-point [batch, time, " +
                               std::to_string(bands) + "], not empty, got " + shown(frames));
  }
  if (lengths.dim() != 1 || lengths.size(0) != frames.size(0) ||
      lengths.scalar_type() != c10::kLong) {
    throw amp::InvalidArgument("Speech: lengths must be Long [" + std::to_string(frames.size(0)) +
                               "], one for each recording, got " + shown(lengths));
  }
  if (!lengths.is_cpu()) return;
  const auto least = lengths.min().item<std::int64_t>(), most = lengths.max().item<std::int64_t>();
  if (least >= 1 && most <= frames.size(1)) return;
  throw amp::InvalidArgument("Speech: lengths must be from 1 to " + std::to_string(frames.size(1)) +
                             ", the frames that are there, got " +
                             std::to_string(least < 1 ? least : most));
}

std::vector<std::int64_t> listed(const at::Tensor& numbers) {
  const auto here = numbers.to(c10::kCPU, c10::kLong).contiguous();
  const auto* first = here.const_data_ptr<std::int64_t>();
  return {first, first + here.numel()};
}

}  // namespace

Speech::Speech(const SpeechOptions& options)
    : options_(checked(options)),
      conv1_(register_module("conv1", halving(1, options.channels))),
      conv2_(register_module("conv2", halving(options.channels, options.channels))),
      layers_(register_module("layers", nn::ModuleList())),
      drop_(register_module("drop", nn::Dropout(options.dropout))),
      output_(register_module("output", nn::Linear(2 * options.width, options.labels))) {
  auto inputs = options.channels * output_length(options.bands);
  for (std::int64_t i = 0; i < options.layers; ++i) {
    layers_->push_back(std::make_shared<BothWays>(inputs, options.width));
    inputs = 2 * options.width;
  }
}

at::Tensor Speech::forward(const at::Tensor& frames, const at::Tensor& lengths) {
  check_inputs(frames, lengths, options_.bands);
  auto length = lengths.to(frames.device());
  auto x = cleared(frames.unsqueeze(1), length);
  for (auto* convolution : {&conv1_, &conv2_}) {
    length = halved(length);
    x = cleared(at::relu((*convolution)(x)), length);
  }
  x = x.transpose(1, 2).flatten(2);
  const auto order = reversal(length, x.size(1));
  for (const auto& layer : *layers_) x = layer->as<BothWays>()->forward(drop_(x), order);
  return output_(drop_(x));
}

at::Tensor ctc_loss(const at::Tensor& logits, const std::vector<std::int64_t>& lengths,
                    const at::Tensor& labels, const at::Tensor& label_lengths) {
  const auto log_probabilities = at::log_softmax(logits.to(c10::kFloat), 2).transpose(0, 1);
  return at::ctc_loss(log_probabilities, labels, lengths, listed(label_lengths));
}

amp::TaskModel make_speech(SpeechOptions options, const ModelSizes& sizes) {
  refuse_size(!sizes.preset.empty(), "--size", "gpt");
  refuse_size(sizes.heads != 0, "--heads", "gpt or seq2seq");
  refuse_size(sizes.embedding != 0, "--embedding", "lstm");
  refuse_size(sizes.projection != 0, "--projection", "lstm");
  refuse_size(sizes.tied, "--tied", "lstm");
  refuse_size(sizes.untied, "--untied", "gpt");
  take_size(options.layers, sizes.layers);
  take_size(options.width, sizes.width);
  options.dropout = sizes.dropout;
  const auto speech = std::make_shared<Speech>(options);
  // Rows of logits of each recording of the last forward.
  const auto lengths = std::make_shared<std::vector<std::int64_t>>();
  return {.module = speech,
          .forward =
              [=](const std::vector<at::Tensor>& inputs) {
                *lengths = listed(inputs.at(1));
                for (auto& length : *lengths) length = Speech::output_length(length);
                return speech->forward(inputs.at(0), inputs.at(1));
              },
          .loss =
              [=](const at::Tensor& outputs, const std::vector<at::Tensor>& targets) {
                return ctc_loss(outputs, *lengths, targets.at(0), targets.at(1));
              }};
}

}  // namespace ampersand
