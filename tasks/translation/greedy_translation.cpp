// Translating token by token, each the likeliest.
#include "tasks/translation/greedy_translation.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <limits>

#include "amp/error.h"

namespace ampersand {
namespace {

// [batch], the likeliest tokens after `targets`.
at::Tensor next_tokens(amp::Evaluator& model, const at::Tensor& sources, const at::Tensor& targets,
                       const PairMarks& marks) {
  auto logits = model.forward({sources, targets}).select(1, -1).to(c10::kFloat);
  if (!at::isfinite(logits).all().item<bool>())
    throw amp::NumericalError(
        "the model's logits are inf or nan; its training has diverged, or --precision is too "
        "narrow");
  for (const auto mark : {marks.begin, marks.padding})
    logits.select(1, mark).fill_(-std::numeric_limits<float>::infinity());
  return logits.argmax(1);
}

}  // namespace

std::vector<std::vector<std::int64_t>> translate(amp::Evaluator& model, const at::Tensor& sources,
                                                 const PairMarks& marks, std::int64_t most) {
  const auto there = sources.to(model.device());
  std::vector<std::vector<std::int64_t>> texts(static_cast<std::size_t>(sources.size(0)));
  std::vector<bool> ended(texts.size(), false);
  auto targets = at::full({sources.size(0), 1}, marks.begin, there.options());
  for (std::int64_t i = 0; i < most && std::ranges::find(ended, false) != ended.end(); ++i) {
    const auto next = next_tokens(model, there, targets, marks);
    targets = at::cat({targets, next.unsqueeze(1)}, 1);
    const auto here = next.cpu();
    for (std::size_t k = 0; k < texts.size(); ++k) {
      const auto token = here.const_data_ptr<std::int64_t>()[k];
      ended[k] = ended[k] || token == marks.end;
      if (!ended[k]) texts[k].push_back(token);
    }
  }
  return texts;
}

}  // namespace ampersand
