// fp32 products on MKL or oneDNN.
#include "src/cpu_math/engines.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace amp::cpu_math {
namespace {

// oneDNN's call costs some 15 us of set-up; below two million multiply-adds it loses to MKL
// (measured on Zen 5).
constexpr std::int64_t kSmallProduct = 2'000'000;

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

bool worth_onednn(std::int64_t m, std::int64_t n, std::int64_t k) {
  return m * n * k >= kSmallProduct && fast_engine() == Engine::onednn;
}

template <typename Product>
double seconds_of(const Product& product) {
  const auto begin = std::chrono::steady_clock::now();
  product();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

bool has_onednn() { return linear_pointwise().has_value(); }

at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  const auto maybe_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  // The op wants the weight as [n, k]; its strides may be any.
  return linear_pointwise()->call(a, b.t(), maybe_bias, "none", Attributes(), "");
}

at::Tensor fast_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  if (worth_onednn(a.size(0), b.size(1), a.size(1))) return onednn_product(a, b, bias);
  return bias.defined() ? at::cpu::addmm(bias, a, b) : at::cpu::mm(a, b);
}

at::Tensor fast_batched_product(const at::Tensor& a, const at::Tensor& b) {
  if (!worth_onednn(a.size(1), b.size(2), a.size(2))) return at::cpu::bmm(a, b);
  auto product = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  for (std::int64_t i = 0; i < a.size(0); ++i) product[i].copy_(onednn_product(a[i], b[i]));
  return product;
}

Engine measure_fast_engine() {
  if (!has_onednn()) return Engine::mkl;
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

}  // namespace amp::cpu_math
