// fp16 mm, addmm, bmm and baddbmm against the same products in double precision.
#include <cmath>
#include <limits>

#include "tests/cpu_math/reference.h"

namespace cpu_math_test::products_test {
namespace {

class Products : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(1); }
  HalfMath on_{true};
};

struct Shape {
  std::int64_t m, k, n;
};

std::vector<Shape> shapes() {
  return {{0, 3, 4}, {3, 0, 4}, {3, 4, 0},   {0, 0, 0},    {1, 1, 1},       {1, 7, 1},
          {3, 5, 2}, {1, 1, 9}, {31, 1, 15}, {17, 33, 65}, {256, 2048, 784}};
}

void expect_product(const at::Tensor& a, const at::Tensor& b) {
  expect_rounded_once(at::matmul(a, b), at::matmul(wide(a), wide(b)),
                      at::matmul(wide(a).abs(), wide(b).abs()), a.size(-1));
}

TEST_F(Products, MmOfEveryShape) {
  for (const auto [m, k, n] : shapes()) {
    SCOPED_TRACE(::testing::Message() << m << " x " << k << " x " << n);
    expect_product(matrix(m, k), matrix(k, n));
  }
}

TEST_F(Products, MmOfEveryLayout) {
  for (const auto left : layouts()) {
    for (const auto right : layouts()) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(left) << static_cast<int>(right));
      expect_product(matrix(17, 33, left), matrix(33, 65, right));
      expect_product(matrix(64, 512, left), matrix(512, 320, right));  // large enough for oneDNN
    }
  }
}

TEST_F(Products, MmIsContiguous) {
  EXPECT_TRUE(at::mm(matrix(64, 512, Layout::transposed), matrix(512, 320)).is_contiguous());
}

TEST_F(Products, BothEngines) {
  const auto measured = amp::cpu_fast_engine();
  for (const char* engine : {"mkl", "onednn"}) {
    try {
      amp::fix_cpu_fast_engine(engine);
    } catch (const std::exception&) {
      continue;  // this LibTorch has no oneDNN
    }
    expect_product(matrix(256, 300), matrix(300, 200));
    expect_product(matrix(300, 256).t(), matrix(200, 300).t());
  }
  amp::fix_cpu_fast_engine(measured);
}

TEST_F(Products, BmmOfEveryShape) {
  for (const std::int64_t batch : {0, 1, 5}) {
    for (const auto [m, k, n] : shapes()) {
      if (m * k * n > 100'000) continue;
      expect_product(at::randn({batch, m, k}).to(at::kHalf),
                     at::randn({batch, k, n}).to(at::kHalf));
    }
  }
  expect_product(at::randn({3, 128, 512}).to(at::kHalf), at::randn({3, 512, 200}).to(at::kHalf));
}

TEST_F(Products, BmmOfEveryLayout) {
  const auto left = at::randn({4, 9, 7}).to(at::kHalf);
  const auto right = at::randn({4, 7, 5}).to(at::kHalf);
  expect_product(left.transpose(1, 2).contiguous().transpose(1, 2), right);
  expect_product(left.transpose(0, 1).contiguous().transpose(0, 1),
                 right.transpose(0, 2).contiguous().transpose(0, 2));
  expect_product(left[0].expand({4, 9, 7}), right);
  expect_product(left.slice(2, 0, {}, 2), right.slice(1, 0, {}, 2));
}

// self, and its counterpart for a batch.
void expect_sum(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b,
                const at::Scalar& beta, const at::Scalar& alpha) {
  SCOPED_TRACE(::testing::Message() << "self " << self.sizes() << " beta " << beta.toDouble()
                                    << " alpha " << alpha.toDouble());
  const auto result =
      a.dim() == 2 ? at::addmm(self, a, b, beta, alpha) : at::baddbmm(self, a, b, beta, alpha);
  auto exact = at::matmul(wide(a), wide(b)) * alpha.toDouble();
  auto magnitude = at::matmul(wide(a).abs(), wide(b).abs()) * std::abs(alpha.toDouble());
  if (beta.toDouble() != 0) {
    exact = exact + wide(self) * beta.toDouble();
    magnitude = magnitude + wide(self).abs() * std::abs(beta.toDouble());
  }
  expect_rounded_once(result, exact, magnitude, a.size(-1));
}

const std::vector<std::pair<at::Scalar, at::Scalar>>& factors() {
  static const std::vector<std::pair<at::Scalar, at::Scalar>> all = {
      {1, 1}, {1.0, 1.0}, {0.5, 2.0}, {2, 3}, {-1.5, 0.25}, {1, 0}, {0, 1}, {true, true}};
  return all;
}

TEST_F(Products, AddmmWithEverySelf) {
  const auto a = matrix(17, 33), b = matrix(33, 65, Layout::transposed);
  for (const auto& size :
       std::vector<std::vector<std::int64_t>>{{}, {1}, {65}, {1, 1}, {1, 65}, {17, 1}, {17, 65}}) {
    for (const auto& [beta, alpha] : factors())
      expect_sum(at::randn(size).to(at::kHalf), a, b, beta, alpha);
  }
  expect_sum(matrix(65, 17).t(), a, b, 0.5, 2);
  expect_sum(matrix(1, 65).expand({17, 65}), a, b, 1, 1);
}

TEST_F(Products, AddmmLargeWithBias) {
  const auto bias = at::randn({784}).to(at::kHalf);
  expect_sum(bias, matrix(256, 2048), matrix(784, 2048).t(), 1, 1);
  expect_sum(bias.unsqueeze(0), matrix(256, 2048), matrix(784, 2048).t(), 1, 1);
}

TEST_F(Products, BaddbmmWithEverySelf) {
  const auto a = at::randn({4, 9, 7}).to(at::kHalf), b = at::randn({4, 7, 5}).to(at::kHalf);
  for (const auto& size : std::vector<std::vector<std::int64_t>>{
           {}, {5}, {9, 1}, {9, 5}, {1, 9, 5}, {4, 1, 5}, {4, 1, 1}, {4, 9, 5}}) {
    for (const auto& [beta, alpha] : factors())
      expect_sum(at::randn(size).to(at::kHalf), a, b, beta, alpha);
  }
}

TEST_F(Products, AnEmptySumIsBetaSelf) {
  const auto self = matrix(3, 4);
  expect_identical(at::addmm(self, matrix(3, 0), matrix(0, 4), 2), self * 2);
  const auto batch = at::randn({2, 3, 4}).to(at::kHalf), none = at::zeros({2, 3, 0}, at::kHalf);
  expect_identical(at::baddbmm(batch, none, at::zeros({2, 0, 4}, at::kHalf), 2), batch * 2);
}

TEST_F(Products, BetaZeroDoesNotReadSelf) {
  const auto nan = at::full({1}, std::numeric_limits<float>::quiet_NaN()).to(at::kHalf);
  const auto a = matrix(9, 7), b = matrix(7, 5);
  expect_identical(at::addmm(nan.expand({9, 5}), a, b, 0), at::mm(a, b));
  expect_identical(at::addmm(nan, a, b, 0.0), at::mm(a, b));
  const auto batch = a.expand({2, 9, 7}), other = b.expand({2, 7, 5});
  expect_identical(at::baddbmm(nan, batch, other, 0), at::bmm(batch, other));
}

// 4096 ones: an fp16 accumulator stops at 2048. 1 + 2^-11 + 2^-20: rounding each step loses the
// last term, which decides the tie.
TEST_F(Products, SumsAreKeptInFp32) {
  const auto ones = at::ones({1, 4096}, at::kHalf);
  EXPECT_EQ(at::mm(ones, ones.t()).item<float>(), 4096);
  const auto terms = at::tensor({1.0, std::exp2(-11), std::exp2(-20)}).to(at::kHalf).unsqueeze(0);
  EXPECT_EQ(at::mm(terms, at::ones({3, 1}, at::kHalf)).item<float>(), 1 + std::exp2f(-10));
  const auto bias = at::ones({1}, at::kHalf);
  EXPECT_EQ(at::addmm(bias, terms.slice(1, 1), at::ones({2, 1}, at::kHalf)).item<float>(),
            1 + std::exp2f(-10));
}

}  // namespace
}  // namespace cpu_math_test::products_test
