// Checks of tokens and of options that every language model shares.
#include "tasks/common/tokens.h"

#include <ATen/ops/aminmax.h>

#include <sstream>
#include <string>

#include "amp/error.h"

namespace ampersand {

namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
  return text.str();
}

}  // namespace

void check_tokens(const std::string& who, const at::Tensor& tokens, std::int64_t vocabulary) {
  if (tokens.scalar_type() != c10::kLong || tokens.dim() != 2 || tokens.numel() == 0) {
    throw amp::InvalidArgument(who + ": tokens must be Long [batch, time], not empty, got " +
                               shape_of(tokens));
  }
  if (!tokens.is_cpu()) return;
  const auto [least, most] = at::aminmax(tokens);
  const auto low = least.item<std::int64_t>(), high = most.item<std::int64_t>();
  if (low >= 0 && high < vocabulary) return;
  throw amp::InvalidArgument(who + ": tokens must be from 0 to " + std::to_string(vocabulary - 1) +
                             ", the vocabulary's last, got " +
                             std::to_string(low < 0 ? low : high) +
                             "; encode the text with the vocabulary that the model was made for");
}

void check_at_least_one(const std::string& who, const char* option, std::int64_t value) {
  if (value >= 1) return;
  throw amp::InvalidArgument(who + ": " + option + " must be >= 1, got " + std::to_string(value));
}

void check_dropout(const std::string& who, double dropout) {
  if (dropout >= 0 && dropout < 1) return;
  throw amp::InvalidArgument(who + ": dropout must be >= 0 and < 1, got " +
                             std::to_string(dropout));
}

}  // namespace ampersand
