// Tensors checked, and brought where the kernels can read them.
#include "src/precision/operand.h"

#include <cmath>
#include <string>

#include "amp/error.h"
#include "src/tensor_lists/operands.h"

namespace amp::precision {

void check_operand(const char* who, const at::Tensor& x) {
  const std::string rule = std::string(who) + ": x must be ";
  if (!x.defined()) throw InvalidArgument(rule + "a tensor, got an undefined one");
  if (!tensor_lists::has_format(x.scalar_type()) && x.scalar_type() != c10::kDouble) {
    throw InvalidArgument(rule + "fp32, fp16, bf16 or fp64, got " + c10::toString(x.scalar_type()) +
                          "; cast it first");
  }
  if (x.layout() != at::kStrided)
    throw InvalidArgument(rule + "dense, got a sparse one; pass its values()");
  if (!x.has_storage() || x.is_meta())
    throw InvalidArgument(rule + "a tensor with memory, got one without (meta or functorch)");
}

at::Tensor on_host(const at::Tensor& x, bool in_order) {
  auto values = x.detach().resolve_neg();
  if (values.scalar_type() == c10::kDouble) values = values.to(c10::kFloat);
  values = values.to(c10::kCPU);
  const bool has_gaps = !values.is_non_overlapping_and_dense();
  return in_order || has_gaps ? values.contiguous() : values;
}

void check_scale(const char* who, double scale) {
  if (scale >= 0x1p-126 && scale <= 0x1p126) return;
  throw InvalidArgument(std::string(who) + ": scale must be from 2^-126 to 2^126, got " +
                        std::to_string(scale));
}

}  // namespace amp::precision
