// What a model of speech has heard, and how far that is from what was said.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "tasks/common/task_settings.h"

namespace ampersand {

// The label of each row's largest logit, less repetitions, less blanks (label 0): of logits [time,
// labels] the first `length` rows. Source: Graves et al. 2006, section 3.2, "best path decoding".
std::vector<std::int64_t> greedy_labels(const at::Tensor& logits, std::int64_t length);

// The least number of insertions, deletions and substitutions that make one of the other.
// Source: Wagner and Fischer 1974, "The string-to-string correction problem".
std::int64_t edit_distance(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

// Calls visit(heard, said) for the labels of each recording, in the order of the batches.
using VisitTranscription = std::function<void(const std::vector<std::int64_t>& heard,
                                              const std::vector<std::int64_t>& said)>;
// Returns the mean loss over the recordings.
double transcribe(amp::Evaluator& model, const Batches& batches, const VisitTranscription& visit);

// CTC's loss, and as accuracy 1 - edits / labels over all recordings, not below 0: the part of what
// was said that was heard.
amp::Evaluation evaluate_speech(amp::Evaluator& model, const Batches& batches);

}  // namespace ampersand
