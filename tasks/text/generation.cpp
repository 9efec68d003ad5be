// Continuing a text token by token.
#include "tasks/text/generation.h"

#include <ATen/ops/div.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "amp/error.h"

namespace ampersand {
namespace {

void check(const amp::Continuation& how) {
  if (how.tokens < 1)
    throw amp::InvalidArgument("--tokens must be >= 1, got " + std::to_string(how.tokens));
  if (!(how.temperature >= 0) || !std::isfinite(how.temperature))
    throw amp::InvalidArgument(
        "--temperature must be finite and >= 0 (0: the likeliest token), got " +
        std::to_string(how.temperature));
  if (how.top_k < 0)
    throw amp::InvalidArgument("--top-k must be >= 0 (0: all tokens), got " +
                               std::to_string(how.top_k));
}

// Inverse of the cumulative distribution at u, in [0, 1).
std::int64_t drawn(const at::Tensor& probabilities, double u) {
  const auto contiguous = probabilities.contiguous();
  const auto* p = contiguous.const_data_ptr<float>();
  const auto last = contiguous.numel() - 1;
  double sum = 0;
  for (std::int64_t i = 0; i < last; ++i) {
    sum += p[i];
    if (u < sum) return i;
  }
  return last;
}

// logits: [vocabulary], fp32, on the CPU.
std::int64_t next_token(const at::Tensor& logits, const amp::Continuation& how, double u) {
  if (how.temperature == 0) return logits.argmax().item<std::int64_t>();
  const auto scaled = at::div(logits, at::Scalar(how.temperature));
  if (how.top_k == 0 || how.top_k >= logits.numel()) return drawn(at::softmax(scaled, 0), u);
  const auto [likeliest, tokens] = at::topk(scaled, how.top_k);
  const at::Tensor token = tokens[drawn(at::softmax(likeliest, 0), u)];
  return token.item<std::int64_t>();
}

}  // namespace

std::vector<std::int64_t> generate(amp::Evaluator& model, std::vector<std::int64_t> prompt,
                                   std::int64_t context, const amp::Continuation& how) {
  check(how);
  std::mt19937_64 generator(how.seed);
  const auto begin = prompt.size();
  for (std::int64_t i = 0; i < how.tokens; ++i) {
    const auto seen = std::min(prompt.size(), static_cast<std::size_t>(context));
    const auto tokens =
        at::tensor(at::ArrayRef(prompt).slice(prompt.size() - seen), c10::kLong).unsqueeze(0);
    const auto logits = model.forward({tokens}).select(1, -1)[0].to(c10::kFloat).cpu();
    if (!at::isfinite(logits).all().item<bool>())
      throw amp::NumericalError(
          "the model's logits are inf or nan; its training has diverged, or --precision is too "
          "narrow");
    // 53 bits, the same on every platform; std::uniform_real_distribution need not be.
    const double u = static_cast<double>(generator() >> 11) * 0x1p-53;
    prompt.push_back(next_token(logits, how, u));
  }
  return {prompt.begin() + static_cast<std::ptrdiff_t>(begin), prompt.end()};
}

}  // namespace ampersand
