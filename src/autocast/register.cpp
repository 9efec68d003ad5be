// Puts Ampersand's kernels on LibTorch's autocast keys: once, when libamp is loaded, and for good.
// Without an amp::Autocast on the thread they do what torch's do.
#include <ATen/ops/cross_entropy_loss.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "amp/error.h"
#include "src/autocast/attention_module.h"
#include "src/autocast/cross_entropy.h"
#include "src/autocast/inside.h"
#include "src/autocast/kernels.h"
#include "src/autocast/lstm.h"
#include "src/cpu_math/single_copy.h"

namespace amp::autocast {
namespace {

bool register_once() {
  if (!cpu_math::is_first_copy()) return false;
  const cpu_math::NoWarnings silence;
  static auto* cpu = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::AutocastCPU,
                                        __FILE__, __LINE__);
  static auto* cuda = new torch::Library(torch::Library::IMPL, "aten",
                                         c10::DispatchKey::AutocastCUDA, __FILE__, __LINE__);
  register_part_1(*cpu, *cuda);
  register_part_2(*cpu, *cuda);
  register_part_3(*cpu, *cuda);
  register_part_4(*cpu, *cuda);
  register_part_5(*cpu, *cuda);
  register_attention_module(*cpu, *cuda);
  register_inside_1(*cpu, *cuda);
  register_inside_2(*cpu, *cuda);
  return true;
}

[[maybe_unused]] const bool registered = register_once();

}  // namespace

void refuse_banned(const char* op) {
  std::string message = std::string("Autocast: ") + op + " is banned by the policy of this region";
  if (std::string(op) == "binary_cross_entropy") {
    message +=
        ", because its gradient overflows fp16; use binary_cross_entropy_with_logits, which takes "
        "what comes before the sigmoid, or run it in a region with {.enabled = false} on fp32 "
        "inputs";
  } else {
    message += "; run it in a region with {.enabled = false}, or give it another rule";
  }
  throw UnsupportedError(message);
}

at::Tensor cross_entropy_inside(const Casts& to_fp32, const at::Tensor& logits,
                                const at::Tensor& target, const std::optional<at::Tensor>& weight,
                                std::int64_t reduction, const c10::SymInt& ignore_index,
                                double label_smoothing) {
  const auto fp32_weight = weight.has_value() ? to_fp32(*weight) : at::Tensor();
  const auto ignored = ignore_index.maybe_as_int();
  // Ours has no derivative with respect to the classes' weights.
  const bool takes_weight =
      !fp32_weight.defined() || (is_plain(fp32_weight) && !fp32_weight.requires_grad());
  if (at::autocast::is_eligible(logits, to_fp32.device) && ignored.has_value() && takes_weight &&
      takes_cross_entropy(logits, target))
    return cross_entropy(logits, target, fp32_weight, {reduction, *ignored, label_smoothing});
  return at::_ops::cross_entropy_loss::call(to_fp32(logits), to_fp32(target), fp32_weight,
                                            reduction, ignore_index, label_smoothing);
}

bool lstm_takes(const at::Tensor& input, at::TensorList states, at::TensorList weights,
                bool has_biases, std::int64_t layers, double dropout, bool train,
                bool bidirectional, bool batch_first) {
  return takes_lstm(input, states, weights,
                    {has_biases, layers, dropout, train, bidirectional, batch_first});
}

LstmResult lstm_inside(const Casts& to_low, const at::Tensor& input, at::TensorList states,
                       at::TensorList weights, bool has_biases, std::int64_t layers, double dropout,
                       bool train, bool bidirectional, bool batch_first) {
  return lstm(to_low(input), to_low.list(states), to_low.list(weights),
              {has_biases, layers, dropout, train, bidirectional, batch_first});
}

}  // namespace amp::autocast
