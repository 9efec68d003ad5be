// TorchScript under nested regions: one compiled function follows whatever region it is called in.
#include <gtest/gtest.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/jit.h>

#include <memory>
#include <optional>
#include <stdexcept>

#include "amp/autocast.h"
#include "amp/cpu_math.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/support/here.h"
#include "tests/support/tensors.h"

namespace amp::tests::torchscript_test {
namespace {

using cpu_math_test::OpCounter;

torch::jit::CompilationUnit& scripted() {
  static const auto unit = torch::jit::compile(R"(
    def product(x, weight):
      return torch.mm(x, weight)

    def rows(x, weight):
      return torch.softmax(torch.mm(x, weight), 1)

    def loop(x, weight, times: int):
      for i in range(times):
        x = torch.relu(torch.mm(x, weight))
      return x
  )");
  return *unit;
}

at::Tensor run(const char* function, const at::Tensor& x, const at::Tensor& weight) {
  return scripted().run_method(function, x, weight).toTensor();
}

// 1 + 2^-9, which fp16 holds and bf16 rounds to 1; a row of two of them times threes is 6 + 6 2^-9.
at::Tensor input() { return here::full({2, 2}, 1.0 + 0x1p-9); }
at::Tensor weight() { return here::full({2, 2}, 3.0).requires_grad_(); }
constexpr double kExact = 6 + 6 * 0x1p-9, kInBf16 = 6, kInFp16 = kExact;
static_assert(kInFp16 == 6.01171875);

void expect_product(const at::Tensor& w, c10::ScalarType dtype, double value) {
  // More than once: the first calls profile, the next run what was optimised for them.
  for (int i = 0; i < 4; ++i) {
    const auto product = run("product", input(), w);
    EXPECT_EQ(product.scalar_type(), dtype);
    EXPECT_EQ(product[0][0].item<double>(), value);
  }
}

TEST(TorchScript, EachNestedRegionHasItsDtype) {
  const auto w = weight();
  expect_product(w, at::kFloat, kExact);
  {
    const Autocast outer(kHere, at::kBFloat16);
    expect_product(w, at::kBFloat16, kInBf16);
    {
      const Autocast inner(kHere, at::kHalf);
      expect_product(w, at::kHalf, kInFp16);
      {
        const Autocast off(kHere, {}, {.enabled = false});
        expect_product(w, at::kFloat, kExact);
      }
      expect_product(w, at::kHalf, kInFp16);
    }
    expect_product(w, at::kBFloat16, kInBf16);
  }
  expect_product(w, at::kFloat, kExact);
}

TEST(TorchScript, EachNestedRegionHasItsPolicy) {
  const auto w = weight();
  const auto dtype = [&] { return run("rows", input(), w).scalar_type(); };
  const Autocast outer(kHere, at::kBFloat16, {.policy = OpPolicy::unified()});
  EXPECT_EQ(dtype(), at::kFloat);
  {
    const Autocast inner(kHere, at::kBFloat16, {.policy = OpPolicy::torch(at::kCPU)});
    EXPECT_EQ(dtype(), at::kBFloat16);
  }
  EXPECT_EQ(dtype(), at::kFloat);
}

// The executor's own derivatives know nothing of the casts, so it must not optimise where there are
// any; outside it does as before, also when an exception ended the region.
TEST(TorchScript, OutsideTheExecutorIsAsBefore) {
  const bool before = torch::jit::getGraphExecutorOptimize();
  const auto w = weight();
  try {
    const Autocast outer(kHere, at::kBFloat16);
    {
      const Autocast inner(kHere, at::kHalf);
      run("product", input(), w);
    }
    run("product", input(), w);
    throw std::runtime_error("in the middle");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(torch::jit::getGraphExecutorOptimize(), before);
}

TEST(TorchScript, TheWeightsCastIsSharedWithCpp) {
  const auto w = weight();
  const auto low = input().to(at::kBFloat16);
  const Autocast autocast(kHere, at::kBFloat16);
  set_cpu_bf16_math(false);  // whose conversions are not autocast's
  at::mm(low, w);
  const OpCounter casts("aten::_to_copy");
  scripted().run_method("loop", low, w, 3);
  at::mm(low, w);
  EXPECT_EQ(casts.calls(), 0);
}

TEST(TorchScript, AWeightThatChangesInsideARegionIsSeen) {
  auto w = weight();
  const Autocast autocast(kHere, at::kHalf);
  expect_product(w, at::kHalf, kInFp16);
  {
    const c10::NoGradGuard no_grad;
    w.fill_(6);
  }
  expect_product(w, at::kHalf, 2 * kInFp16);
}

// The gradient of x w w w by w, each product in the region's dtype, as the same lines of C++ have it.
TEST(TorchScript, GradientsAreThoseOfCpp) {
  const auto gradient = [](bool in_script, c10::ScalarType outer,
                           std::optional<c10::ScalarType> nested) {
    const auto w = (here::arange(16).reshape({4, 4}) / 16.0 - 0.4).requires_grad_();
    const auto x = here::arange(16).reshape({4, 4}) / 7.0;
    at::Tensor output;
    {
      const Autocast region(kHere, outer);
      std::optional<Autocast> inner;
      if (nested) inner.emplace(kHere, *nested);
      output = x;
      if (in_script) {
        output = scripted().run_method("loop", output, w, 3).toTensor();
      } else {
        for (int i = 0; i < 3; ++i) output = at::relu(at::mm(output, w));
      }
    }
    output.sum().backward();
    return values(w.grad());
  };
  // Each graph three times, after another dtype's: what was specialised for one must not serve the other.
  for (int i = 0; i < 3; ++i) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      EXPECT_EQ(gradient(true, dtype, {}), gradient(false, dtype, {}));
      EXPECT_EQ(gradient(true, at::kHalf, dtype), gradient(false, dtype, {}));
    }
  }
}

}  // namespace
}  // namespace amp::tests::torchscript_test
