// The engine of fp32 products.
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>

#include <array>
#include <cmath>

#include "amp/error.h"
#include "tests/cpu_math/op_counter.h"
#include "tests/cpu_math/reference.h"

namespace cpu_math_test::fp32_engine_test {
namespace {

constexpr const char* kOneDnn = "mkldnn::_linear_pointwise";

bool has_onednn() {
  try {
    amp::fix_cpu_fast_engine("onednn");
    return true;
  } catch (const amp::UnsupportedError&) {
    return false;
  }
}

class Fp32Engine : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(5);
    if (!has_onednn()) GTEST_SKIP() << "this LibTorch has no oneDNN products";
    amp::set_cpu_fp32_engine(amp::CpuFp32Engine::fastest);
  }
  void TearDown() override { amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock); }
};

at::Tensor random(std::int64_t rows, std::int64_t columns, Layout layout = {}) {
  return matrix(rows, columns, layout, at::kFloat);
}

// Within terms 2^-24 times the sum of the absolute products: what fp32 sums in any order keep to.
void expect_close(const at::Tensor& result, const at::Tensor& exact, const at::Tensor& magnitude,
                  std::int64_t terms) {
  ASSERT_EQ(result.scalar_type(), at::kFloat);
  const auto bound = magnitude * (static_cast<double>(terms) * std::exp2(-24));
  EXPECT_LE(((wide(result) - exact).abs() - bound).max().item<double>(), 0);
}

TEST_F(Fp32Engine, LargeProductsOfEveryLayout) {
  for (const auto left : layouts()) {
    for (const auto right : layouts()) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(left) << static_cast<int>(right));
      const auto a = random(64, 512, left), b = random(512, 320, right);
      const OpCounter products(kOneDnn);
      const auto result = at::mm(a, b);
      EXPECT_EQ(products.calls(), 1);
      EXPECT_TRUE(result.is_contiguous());
      expect_close(result, at::mm(wide(a), wide(b)), at::mm(wide(a).abs(), wide(b).abs()), 512);
    }
  }
}

TEST_F(Fp32Engine, BiasAndBatch) {
  const auto a = random(64, 512), b = random(320, 512).t(), bias = at::randn({320});
  const OpCounter products(kOneDnn);
  expect_close(at::addmm(bias, a, b), at::addmm(wide(bias), wide(a), wide(b)),
               at::addmm(wide(bias).abs(), wide(a).abs(), wide(b).abs()), 512);
  EXPECT_EQ(products.calls(), 1);
  const auto left = at::randn({3, 64, 512}), right = at::randn({3, 512, 320});
  expect_close(at::bmm(left, right), at::bmm(wide(left), wide(right)),
               at::bmm(wide(left).abs(), wide(right).abs()), 512);
  EXPECT_EQ(products.calls(), 4);
}

TEST_F(Fp32Engine, AllElseStaysStock) {
  const OpCounter products(kOneDnn);
  const auto a = random(64, 512), b = random(512, 320), self = random(64, 320);
  expect_identical(at::addmm(self, a, b), at::cpu::addmm(self, a, b));
  expect_identical(at::addmm(self[0], a, b, 2, 3), at::cpu::addmm(self[0], a, b, 2, 3));
  for (const auto& [m, k, n] : std::vector<std::array<std::int64_t, 3>>{
           {100, 100, 100}, {3000, 3000, 1}, {1, 3000, 3000}, {3000, 1, 3000}, {0, 5, 7}}) {
    const auto x = random(m, k), y = random(k, n);
    expect_identical(at::mm(x, y), at::cpu::mm(x, y));
  }
  const auto tall = random(100, 20'000).t(), narrow = random(100, 32);
  expect_identical(at::mm(tall, narrow), at::cpu::mm(tall, narrow));
  const auto half_a = a.to(at::kBFloat16), half_b = b.to(at::kBFloat16);
  expect_identical(at::mm(half_a, half_b), at::cpu::mm(half_a, half_b));
  const auto double_a = wide(a), double_b = wide(b);
  expect_identical(at::mm(double_a, double_b), at::cpu::mm(double_a, double_b));
  EXPECT_EQ(products.calls(), 0);
}

TEST_F(Fp32Engine, StockAgainIsLibTorchBitForBit) {
  const auto a = random(64, 512), b = random(512, 320), bias = at::randn({320});
  amp::set_cpu_fp32_engine(amp::CpuFp32Engine::stock);
  EXPECT_EQ(amp::cpu_fp32_engine(), amp::CpuFp32Engine::stock);
  EXPECT_EQ(amp::cpu_fp32_engine_in_use(), "mkl");
  expect_identical(at::mm(a, b), at::cpu::mm(a, b));
  expect_identical(at::addmm(bias, a, b), at::cpu::addmm(bias, a, b));
}

TEST_F(Fp32Engine, AFixedEngineIsTheOneInUse) {
  EXPECT_EQ(amp::cpu_fast_engine(), "onednn");
  EXPECT_EQ(amp::cpu_fp32_engine_in_use(), "onednn");
  amp::fix_cpu_fast_engine("mkl");
  EXPECT_EQ(amp::cpu_fast_engine(), "mkl");
  EXPECT_EQ(amp::cpu_fp32_engine_in_use(), "mkl");
  const OpCounter products(kOneDnn);
  const auto a = random(64, 512), b = random(512, 320);
  expect_identical(at::mm(a, b), at::cpu::mm(a, b));
  EXPECT_EQ(products.calls(), 0);
}

TEST_F(Fp32Engine, TrainsWithGradients) {
  const auto a = random(64, 512).requires_grad_(), b = random(512, 320).requires_grad_();
  const OpCounter products(kOneDnn);
  at::mm(a, b).backward(at::ones({64, 320}));
  EXPECT_EQ(products.calls(), 3);
  const auto ones = at::ones({64, 320}, at::kDouble), x = wide(a.detach());
  expect_close(b.grad(), at::mm(x.t(), ones), at::mm(x.t().abs(), ones), 64);
}

TEST(FixCpuFastEngine, RefusesOtherNames) {
  for (const char* name : {"", "MKL", "openblas"}) {
    try {
      amp::fix_cpu_fast_engine(name);
      ADD_FAILURE() << name << " was taken";
    } catch (const amp::InvalidArgument& error) {
      EXPECT_EQ(std::string(error.what()),
                std::string("fix_cpu_fast_engine: the engine must be 'mkl' or 'onednn', got '") +
                    name + "'");
    }
  }
}

}  // namespace
}  // namespace cpu_math_test::fp32_engine_test
