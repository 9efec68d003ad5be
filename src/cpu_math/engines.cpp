// fp32 products on MKL or oneDNN.
#include "src/cpu_math/engines.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <ctime>
#include <limits>

namespace amp::cpu_math {
namespace {

// What oneDNN needs to win, measured on Zen 4, where it gains least. Its call costs some 15 us of
// set-up, so below eight million multiply-adds MKL is as fast or faster. It has no matrix-vector
// kernel: with a single column it takes twice MKL's time. It reads the left operand row by row and
// transposes any other first, which takes longer than the product if few columns follow.
constexpr std::int64_t kSmallProduct = 8'000'000;
constexpr std::int64_t kFewRows = 2, kShortSum = 4, kFewColumns = 8, kFewAfterTransposing = 256;

using Attributes = c10::List<std::optional<at::Scalar>>;
using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, c10::string_view, Attributes,
                                   std::optional<c10::string_view>);
using LinearPointwiseOp = c10::TypedOperatorHandle<LinearPointwise>;

// LibTorch registers the op only where oneDNN supports the processor.
const std::optional<LinearPointwiseOp>& linear_pointwise() {
  static const auto op = [] {
    std::optional<LinearPointwiseOp> found;
    const auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (schema.has_value() && schema->hasKernelForDispatchKey(c10::DispatchKey::CPU)) {
      found = schema->typed<LinearPointwise>();
    }
    return found;
  }();
  return op;
}

bool onednn_wins(const at::Tensor& a, const at::Tensor& b) {
  const std::int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  const bool row_by_row = a.stride(-1) == 1;
  return m * n * k >= kSmallProduct && m >= kFewRows && k >= kShortSum &&
         n >= (row_by_row ? kFewColumns : kFewAfterTransposing) && fast_engine() == Engine::onednn;
}

// CPU time of the calling thread: other programs on the same cores do not add to it.
double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename Product>
double seconds_of(const Product& product) {
  const double begin = seconds_now();
  product();
  return seconds_now() - begin;
}

Engine faster_on_this_thread() {
  const c10::InferenceMode plain_tensors;
  const auto a = at::ones({256, 1024});
  const auto b = at::ones({1024, 1024});
  double mkl = std::numeric_limits<double>::infinity();
  double onednn = mkl;
  for (int i = 0; i < 3; ++i) {
    mkl = std::min(mkl, seconds_of([&] { at::cpu::mm(a, b); }));
    onednn = std::min(onednn, seconds_of([&] { onednn_product(a, b); }));
  }
  return onednn < mkl ? Engine::onednn : Engine::mkl;
}

}  // namespace

bool has_onednn() { return linear_pointwise().has_value(); }

at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  const auto maybe_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  // The op wants the weight as [n, k]; its strides may be any.
  return linear_pointwise()->call(a, b.t(), maybe_bias, "none", Attributes(), "");
}

at::Tensor fast_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  if (onednn_wins(a, b)) return onednn_product(a, b, bias);
  return bias.defined() ? at::cpu::addmm(bias, a, b) : at::cpu::mm(a, b);
}

bool is_bias(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b,
             const at::Scalar& beta, const at::Scalar& alpha) {
  return a.dim() == 2 && self.dim() == 1 && self.size(0) == b.size(1) && beta.toDouble() == 1.0 &&
         alpha.toDouble() == 1.0;
}

at::Tensor fast_batched_product(const at::Tensor& a, const at::Tensor& b) {
  if (!onednn_wins(a, b)) return at::cpu::bmm(a, b);
  auto product = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  for (std::int64_t i = 0; i < a.size(0); ++i) product[i].copy_(onednn_product(a[i], b[i]));
  return product;
}

Engine measure_fast_engine() {
  if (!has_onednn()) return Engine::mkl;
  // Inside a parallel region either engine keeps to the thread that calls it, so that the time
  // does not depend on when the other threads get a core. (A libamp compiled without OpenMP has no
  // such region and measures both on all threads.) The calling thread has the first part.
  auto faster = Engine::mkl;
  at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t part, std::int64_t) {
    if (part == 0) faster = faster_on_this_thread();
  });
  return faster;
}

}  // namespace amp::cpu_math
