// What a model of speech has heard.
#include "tasks/speech/transcription.h"

#include <algorithm>
#include <numeric>

#include "tasks/speech/speech.h"

namespace ampersand {

std::vector<std::int64_t> greedy_labels(const at::Tensor& logits, std::int64_t length) {
  const auto best = logits.narrow(0, 0, length).argmax(1).cpu();
  const auto* label = best.const_data_ptr<std::int64_t>();
  std::vector<std::int64_t> labels;
  for (std::int64_t t = 0; t < length; ++t) {
    if (label[t] != 0 && (t == 0 || label[t] != label[t - 1])) labels.push_back(label[t]);
  }
  return labels;
}

std::int64_t edit_distance(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  std::vector<std::int64_t> row(b.size() + 1);  // distances of a's begin to every begin of b
  std::iota(row.begin(), row.end(), std::int64_t{0});
  for (const auto symbol : a) {
    auto diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (symbol == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

double transcribe(amp::Evaluator& model, const Batches& batches, const VisitTranscription& visit) {
  double loss = 0;
  model.for_each(batches, [&](const auto& logits, const Batch& batch, double mean) {
    const auto lengths = batch.inputs.at(1).cpu(), labels = batch.targets.at(0).cpu(),
               label_lengths = batch.targets.at(1).cpu();
    for (std::int64_t k = 0; k < logits.size(0); ++k) {
      const auto length = lengths.template const_data_ptr<std::int64_t>()[k];
      const auto* first = labels.template const_data_ptr<std::int64_t>() + k * labels.size(1);
      const auto count = label_lengths.template const_data_ptr<std::int64_t>()[k];
      visit(greedy_labels(logits[k], Speech::output_length(length)), {first, first + count});
    }
    loss += mean * static_cast<double>(logits.size(0));
  });
  return loss / static_cast<double>(batches.samples());
}

amp::Evaluation evaluate_speech(amp::Evaluator& model, const Batches& batches) {
  std::int64_t edits = 0, labels = 0;
  const auto loss = transcribe(model, batches, [&](const auto& heard, const auto& said) {
    edits += edit_distance(heard, said);
    labels += std::ssize(said);
  });
  const auto right = 1 - static_cast<double>(edits) / static_cast<double>(labels);
  return {.loss = loss, .measures = {{amp::accuracy_measure().key, std::max(0.0, right)}}};
}

}  // namespace ampersand
